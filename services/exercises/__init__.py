"""The exercise library: browse it, add to it, change what is yours, give it to the clinic, merge duplicates."""

from services.exercises.merging import NotOffered, merge, promote
from services.exercises.reading import browse, by_code, get, localized
from services.exercises.writing import CodeTaken, ExerciseRefused, ShippedExercise, create, update

__all__ = [
    "CodeTaken",
    "ExerciseRefused",
    "NotOffered",
    "ShippedExercise",
    "browse",
    "by_code",
    "create",
    "get",
    "localized",
    "merge",
    "promote",
    "update",
]
