"""The exercise library: browse it, add to it, change what is yours, give it to the clinic, merge duplicates."""

from services.exercises.exchange import ImportRefused, TooManyExercises, export, load
from services.exercises.merging import NotOffered, merge, promote
from services.exercises.reading import browse, by_code, get, localized
from services.exercises.writing import CodeTaken, ExerciseRefused, ShippedExercise, create, update

__all__ = [
    "CodeTaken",
    "ExerciseRefused",
    "ImportRefused",
    "NotOffered",
    "ShippedExercise",
    "TooManyExercises",
    "browse",
    "by_code",
    "create",
    "export",
    "get",
    "load",
    "localized",
    "merge",
    "promote",
    "update",
]
