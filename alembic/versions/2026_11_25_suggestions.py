"""What the progression rules suggest, how far a program's version lets them act, and which programs are to be looked at."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

BOUND = "nullif(current_setting('app.clinic_id', true), '')::uuid"

OUTCOMES = ("stop", "regress", "hold", "progress")
STATUSES = ("open", "accepted", "rejected", "applied", "superseded")
CHANGING = "version_id, item_id, within_bounds, status, decided_by, decided_at, reason, written_version_id, updated_at, version"
LINKS = {
    "patient_id": "patients",
    "episode_id": "episodes",
    "program_id": "programs",
    "version_id": "program_versions",
    "item_id": "program_items",
    "session_id": "exercise_sessions",
    "decided_by": "therapists",
    "written_version_id": "program_versions",
}
CHECKS = {
    "change": "(change IS NULL) = (to_dose IS NULL)",
    "open": "(status = 'open') = (decided_at IS NULL)",
    "decided": "decided_by IS NULL OR status IN ('accepted', 'rejected')",
    "reason": "char_length(reason) <= 500",
    "explanation": "char_length(explanation) BETWEEN 1 AND 1000",
}


def _words(name: str, words: tuple[str, ...]) -> sa.Enum:
    return sa.Enum(*words, name=name, native_enum=False, create_constraint=True, length=40)


def upgrade() -> None:
    op.add_column(
        "program_versions",
        sa.Column("progression", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
    )
    op.create_table(
        "suggestions",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("episode_id", sa.Uuid(), nullable=False),
        sa.Column("program_id", sa.Uuid(), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("exercise_code", sa.Text(), nullable=False),
        sa.Column("outcome", _words("outcome", OUTCOMES), nullable=False),
        sa.Column("change", sa.Text(), nullable=True),
        sa.Column("from_dose", postgresql.JSONB(), nullable=False),
        sa.Column("to_dose", postgresql.JSONB(), nullable=True),
        sa.Column("reasons", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("rule_version", sa.Text(), nullable=False),
        sa.Column("inputs", postgresql.JSONB(), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("within_bounds", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("status", _words("status", STATUSES), server_default="open", nullable=False),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("written_version_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        *(sa.CheckConstraint(rule, name=op.f(f"ck_suggestions_{name}")) for name, rule in CHECKS.items()),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_suggestions_clinic_id")),
        *(
            sa.ForeignKeyConstraint(
                ["clinic_id", column],
                [f"{target}.clinic_id", f"{target}.id"],
                name=op.f(f"fk_suggestions_clinic_id_{column}"),
            )
            for column, target in LINKS.items()
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_suggestions")),
    )
    op.create_index(
        "uq_suggestions_open",
        "suggestions",
        ["clinic_id", "item_id"],
        unique=True,
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_index("ix_suggestions_program_id", "suggestions", ["clinic_id", "program_id", "created_at"])
    op.create_index("ix_suggestions_patient_id", "suggestions", ["clinic_id", "patient_id", "created_at", "id"])
    op.create_table(
        "evaluations_owed",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("program_id", sa.Uuid(), nullable=False),
        sa.Column("owed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("clinic_id", "session_id", name=op.f("pk_evaluations_owed")),
    )
    for table, rights in (
        ("suggestions", f"SELECT, INSERT, UPDATE ({CHANGING})"),
        ("evaluations_owed", "SELECT, INSERT, DELETE"),
    ):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY clinic ON {table} TO physio_api, physio_worker"
            f" USING (clinic_id = {BOUND}) WITH CHECK (clinic_id = {BOUND})"
        )
        op.execute(f"GRANT {rights} ON {table} TO physio_api, physio_worker")
    # The sweeper only sees in which clinics something is owed, and since when.
    op.execute("CREATE POLICY sweep ON evaluations_owed TO physio_sweeper USING (true) WITH CHECK (true)")
    op.execute("GRANT SELECT (clinic_id, owed_at) ON evaluations_owed TO physio_sweeper")


def downgrade() -> None:
    op.drop_table("evaluations_owed")
    op.drop_table("suggestions")
    op.drop_column("program_versions", "progression")
