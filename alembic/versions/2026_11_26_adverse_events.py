"""The register of adverse events, with all that anybody said about each."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

BOUND = "nullif(current_setting('app.clinic_id', true), '')::uuid"
CHANGING = (
    "episode_id, version_id, item_id, session_id, kind, description, occurred_on, ended_on, grade, seriousness, relatedness,"
    " outcome, rule_version, status, conclusion, review_note, reviewed_at, reviewed_by, updated_at, version"
)
LINKS = {
    "patient_id": "patients",
    "episode_id": "episodes",
    "version_id": "program_versions",
    "item_id": "program_items",
    "session_id": "exercise_sessions",
    "reviewed_by": "therapists",
}
WORDS = {
    "kind": (
        "more_pain",
        "soreness",
        "fall",
        "injury",
        "neurological",
        "dizziness",
        "heart_or_breath",
        "skin",
        "mood",
        "other",
    ),
    "relatedness": ("unrelated", "unlikely", "possible", "probable", "definite"),
    "outcome": ("recovered", "recovering", "not_recovered", "lasting_effects", "fatal", "unknown"),
    "reported_via": ("patient", "therapist", "assistant"),
    "status": ("reported", "reviewed"),
    "conclusion": ("no_action_needed", "program_changed", "referred", "process_changed", "reported_to_authority"),
}
CHECKS = {
    "description": "char_length(description) BETWEEN 1 AND 2000",
    "grade": "grade BETWEEN 1 AND 5",
    "seriousness": (
        "seriousness <@ ARRAY['death', 'life_threatening', 'hospital', 'disability', 'medically_important']::text[]"
    ),
    "days": "ended_on >= occurred_on",
    "linked": "(item_id IS NULL AND session_id IS NULL) OR version_id IS NOT NULL",
    "reviewed": (
        "(status = 'reviewed') = (reviewed_at IS NOT NULL AND reviewed_by IS NOT NULL AND conclusion IS NOT NULL)"
    ),
    "complete": (
        "status <> 'reviewed' OR (grade IS NOT NULL AND seriousness IS NOT NULL AND relatedness IS NOT NULL"
        " AND outcome IS NOT NULL)"
    ),
    "review_note": "char_length(review_note) BETWEEN 1 AND 2000",
}


def _words(name: str) -> sa.Enum:
    return sa.Enum(*WORDS[name], name=name, native_enum=False, create_constraint=True, length=40)


def upgrade() -> None:
    op.create_table(
        "adverse_events",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("episode_id", sa.Uuid(), nullable=True),
        sa.Column("version_id", sa.Uuid(), nullable=True),
        sa.Column("item_id", sa.Uuid(), nullable=True),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("kind", _words("kind"), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("occurred_on", sa.Date(), nullable=False),
        sa.Column("ended_on", sa.Date(), nullable=True),
        sa.Column("grade", sa.Integer(), nullable=True),
        sa.Column("seriousness", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("relatedness", _words("relatedness"), nullable=True),
        sa.Column("outcome", _words("outcome"), nullable=True),
        sa.Column("rule_version", sa.Text(), nullable=False),
        sa.Column("reported_via", _words("reported_via"), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reported_by", sa.Uuid(), nullable=False),
        sa.Column("status", _words("status"), server_default="reported", nullable=False),
        sa.Column("conclusion", _words("conclusion"), nullable=True),
        sa.Column("review_note", sa.Text(), nullable=True),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reviewed_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        *(sa.CheckConstraint(rule, name=op.f(f"ck_adverse_events_{name}")) for name, rule in CHECKS.items()),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_adverse_events_clinic_id")),
        *(
            sa.ForeignKeyConstraint(
                ["clinic_id", column],
                [f"{target}.clinic_id", f"{target}.id"],
                name=op.f(f"fk_adverse_events_clinic_id_{column}"),
            )
            for column, target in LINKS.items()
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_adverse_events")),
    )
    op.create_index("ix_adverse_events_patient_id", "adverse_events", ["clinic_id", "patient_id", "occurred_on", "id"])
    op.create_index("ix_adverse_events_occurred_on", "adverse_events", ["clinic_id", "occurred_on", "id"])
    op.create_table(
        "adverse_event_changes",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("adverse_event_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Uuid(), nullable=False),
        sa.Column("changes", postgresql.JSONB(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('reported', 'changed', 'reviewed')", name=op.f("ck_adverse_event_changes_kind")),
        sa.CheckConstraint("char_length(note) BETWEEN 1 AND 500", name=op.f("ck_adverse_event_changes_note")),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_adverse_event_changes_clinic_id")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "adverse_event_id"],
            ["adverse_events.clinic_id", "adverse_events.id"],
            name=op.f("fk_adverse_event_changes_clinic_id_adverse_event_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_adverse_event_changes")),
    )
    op.create_index(
        "ix_adverse_event_changes_adverse_event_id", "adverse_event_changes", ["clinic_id", "adverse_event_id", "at"]
    )
    for table in ("adverse_events", "adverse_event_changes"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY clinic ON {table} TO physio_api, physio_worker"
            f" USING (clinic_id = {BOUND}) WITH CHECK (clinic_id = {BOUND})"
        )
        op.execute(f"GRANT SELECT, INSERT ON {table} TO physio_api, physio_worker")
    op.execute(f"GRANT UPDATE ({CHANGING}) ON adverse_events TO physio_api, physio_worker")


def downgrade() -> None:
    op.drop_table("adverse_event_changes")
    op.drop_table("adverse_events")
