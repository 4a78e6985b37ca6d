"""Exercise programs as immutable versions: phases, and prescribed exercises with their dose."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Numeric, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import DATERANGE, JSONB, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column

from clinical.program_life import ProgramStatus
from models.base import Base, Identified, Json, Made, OfClinic, Versioned, check, index, of_clinic, within, words


class Program(Identified, Versioned, Base):
    """A patient's program; what it prescribes stands in its versions. One program of an episode is in use at a time.

    `halted_by` is the code of what is missing when not a person paused it but the system, because nobody may treat the
    patient now or his consent is gone.
    """

    __tablename__ = "programs"
    __table_args__ = (
        of_clinic(),
        within("patient_id", "patients"),
        within("episode_id", "episodes"),
        within("suspended_by_id", "red_flag_screens"),
        check("suspended", "(status = 'suspended_red_flag') = (suspended_by_id IS NOT NULL)"),
        check("halted", "halted_by IS NULL OR status = 'paused'"),
        check("title", "char_length(title) BETWEEN 1 AND 200"),
        index(
            "uq_programs_in_use",
            "episode_id",
            unique=True,
            postgresql_where=text("status IN ('active', 'paused', 'suspended_red_flag')"),
        ),
        index("ix_programs_patient_id", "patient_id", "created_at"),
    )

    patient_id: Mapped[UUID]
    episode_id: Mapped[UUID]
    title: Mapped[str]
    status: Mapped[ProgramStatus] = mapped_column(
        words("status", ProgramStatus), server_default=ProgramStatus.DRAFT.value
    )
    status_reason: Mapped[str] = mapped_column(server_default="")
    activated_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    suspended_by_id: Mapped[UUID | None]
    halted_by: Mapped[str | None]


class ProgramVersion(Identified, Made, Base):
    """What is prescribed from one day to another (`in_force`, local dates, upper end excluded; empty while draft).

    Phases count from `starts_on`, also in a later version unless it begins them anew. After the insert only `in_force`
    is ever set, and `starts_on` of a draft that is activated after that day; versions of one program never overlap.

    `progression` says who takes the steps that the rules suggest, and within which bounds: see schemas/programs.py.
    """

    __tablename__ = "program_versions"
    __table_args__ = (
        of_clinic(),
        within("program_id", "programs"),
        within("patient_id", "patients"),
        within("author_id", "therapists"),
        UniqueConstraint("clinic_id", "program_id", "number"),
        ExcludeConstraint(
            ("clinic_id", "="),
            ("program_id", "="),
            ("in_force", "&&"),
            using="gist",
            name="ex_program_versions_in_force",
        ),
        check("number", "number >= 1"),
        check("reason", "number = 1 OR char_length(reason) >= 1"),
        check("pain_ceiling", "pain_ceiling BETWEEN 0 AND 10"),
        index("ix_program_versions_patient_id", "patient_id"),
    )

    program_id: Mapped[UUID]
    patient_id: Mapped[UUID]
    author_id: Mapped[UUID]
    number: Mapped[int]
    reason: Mapped[str] = mapped_column(server_default="")
    starts_on: Mapped[date]
    pain_ceiling: Mapped[int]
    in_force: Mapped[Range[date] | None] = mapped_column(DATERANGE)
    progression: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))


class ProgramPause(Identified, Base):
    """Local days on which nothing was planned: the program was paused, or a red flag had suspended it.

    `during` excludes its upper end and is open while the pause lasts; adherence leaves these days out. `began_at` and
    `ended_at` are its exact moments: a session done before a pause counts, however late it arrives.
    """

    __tablename__ = "program_pauses"
    __table_args__ = (
        of_clinic(),
        within("program_id", "programs"),
        check("reason", "reason IN ('program_paused', 'red_flag_suspended', 'holiday_agreed', 'therapist_excused')"),
        check("ended_at", "ended_at >= began_at"),
        ExcludeConstraint(
            ("clinic_id", "="), ("program_id", "="), ("during", "&&"), using="gist", name="ex_program_pauses_during"
        ),
    )

    program_id: Mapped[UUID]
    reason: Mapped[str]
    during: Mapped[Range[date]] = mapped_column(DATERANGE)
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class ProgramPhase(Identified, Base):
    """One phase of a version, in order.

    `weeks` empty means until the version ends or, where another phase follows, until a therapist moves on. `entry` and
    `exit` are lists of criteria (see clinical/phase_criteria.py), the two texts are words beside them.
    """

    __tablename__ = "program_phases"
    __table_args__ = (
        of_clinic(),
        within("version_id", "program_versions"),
        UniqueConstraint("clinic_id", "version_id", "position"),
        check("position", "position >= 1"),
        check("weeks", "weeks BETWEEN 1 AND 52"),
        check("entry", "CASE jsonb_typeof(entry) WHEN 'array' THEN jsonb_array_length(entry) <= 8 ELSE false END"),
        check("exit", "CASE jsonb_typeof(exit) WHEN 'array' THEN jsonb_array_length(exit) <= 8 ELSE false END"),
    )

    version_id: Mapped[UUID]
    position: Mapped[int]
    name: Mapped[str]
    kind: Mapped[str]
    weeks: Mapped[int | None]
    entry_criteria: Mapped[str] = mapped_column(server_default="")
    exit_criteria: Mapped[str] = mapped_column(server_default="")
    entry: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    exit: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))


class PhaseReadiness(OfClinic, Base):
    """A program whose phase may end: what it asks for was met `since`. Found at night, for the worklist.

    The phase is known by its place and the day it began, so it stays the same through a version that only moves a dose.
    """

    __tablename__ = "phase_readiness"
    __table_args__ = (
        of_clinic(),
        within("program_id", "programs"),
        within("patient_id", "patients"),
        check("position", "position >= 1"),
        index("ix_phase_readiness_patient_id", "patient_id"),
    )

    program_id: Mapped[UUID] = mapped_column(primary_key=True)
    patient_id: Mapped[UUID]
    position: Mapped[int]
    began_on: Mapped[date]
    since: Mapped[datetime]


class ProgramItem(Identified, Base):
    """One prescribed exercise with its dose. `exercise` pins name, instructions and cues as they were that day.

    `weekdays` are ISO weekdays 1 (Monday) to 7; `load_kg` in kilograms, `load_label` for a band or machine setting.
    """

    __tablename__ = "program_items"
    __table_args__ = (
        of_clinic(),
        within("version_id", "program_versions"),
        within("phase_id", "program_phases"),
        within("exercise_id", "exercises"),
        UniqueConstraint("clinic_id", "phase_id", "position"),
        check("sets", "sets BETWEEN 1 AND 10"),
        check("dose", "reps IS NOT NULL OR hold_seconds IS NOT NULL OR duration_seconds IS NOT NULL"),
        check("reps", "reps BETWEEN 1 AND 100"),
        check("hold_seconds", "hold_seconds BETWEEN 1 AND 600"),
        check("duration_seconds", "duration_seconds BETWEEN 1 AND 7200"),
        check("load_kg", "load_kg BETWEEN 0 AND 300"),
        check("rest_seconds", "rest_seconds BETWEEN 0 AND 600"),
        check("sessions_per_day", "sessions_per_day BETWEEN 1 AND 6"),
        check("weekdays", "cardinality(weekdays) BETWEEN 1 AND 7 AND weekdays <@ ARRAY[1,2,3,4,5,6,7]"),
        check("pain_ceiling", "pain_ceiling BETWEEN 0 AND 10"),
        check("effort_ceiling", "effort_ceiling BETWEEN 0 AND 10"),
        check("side", "side IN ('none', 'left', 'right', 'both', 'each')"),
        index("ix_program_items_version_id", "version_id"),
    )

    version_id: Mapped[UUID]
    phase_id: Mapped[UUID]
    exercise_id: Mapped[UUID]
    exercise_code: Mapped[str]
    exercise: Mapped[Json]
    position: Mapped[int]
    sets: Mapped[int]
    reps: Mapped[int | None]
    hold_seconds: Mapped[int | None]
    duration_seconds: Mapped[int | None]
    load_kg: Mapped[Decimal | None] = mapped_column(Numeric(5, 2))
    load_label: Mapped[str | None]
    tempo: Mapped[str | None]
    rest_seconds: Mapped[int | None]
    side: Mapped[str] = mapped_column(server_default="none")
    sessions_per_day: Mapped[int] = mapped_column(server_default=text("1"))
    weekdays: Mapped[list[int]]
    pain_ceiling: Mapped[int | None]
    effort_ceiling: Mapped[int | None]
    note: Mapped[str] = mapped_column(server_default="")
    accepted_contraindications: Mapped[Json | None]
