"""Milestones on the way to goals, and targets for habits."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

BOUND = "nullif(current_setting('app.clinic_id', true), '')::uuid"
CHANGING = {
    "milestones": "statement, target, due_on, reached_on, dropped_at, updated_at, version",
    "lifestyle_targets": "target, ended_on, ended_at, updated_at, version",
}


def _now() -> sa.TextClause:
    return sa.text("now()")


def _within(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["clinic_id", column],
        [f"{target}.clinic_id", f"{target}.id"],
        name=op.f(f"fk_{table}_clinic_id_{column}"),
    )


def upgrade() -> None:
    op.create_table(
        "milestones",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("goal_id", sa.Uuid(), nullable=False),
        sa.Column("statement", sa.Text(), nullable=False),
        sa.Column("target", sa.Numeric(7, 2), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("reached_on", sa.Date(), nullable=True),
        sa.Column("dropped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("set_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_now(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=_now(), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("char_length(statement) BETWEEN 1 AND 500", name=op.f("ck_milestones_statement")),
        sa.CheckConstraint("target IS NULL OR reached_on IS NULL", name=op.f("ck_milestones_reached")),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_milestones_clinic_id")),
        _within("milestones", "patient_id", "patients"),
        _within("milestones", "goal_id", "goals"),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_milestones")),
    )
    op.create_index("ix_milestones_goal_id", "milestones", ["clinic_id", "goal_id", "created_at", "id"])
    op.create_table(
        "lifestyle_targets",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("episode_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("target", sa.Numeric(8, 2), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ended_on", sa.Date(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_now(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=_now(), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint(
            "kind IN ('sleep_hours', 'stress', 'steps', 'activity_minutes')", name=op.f("ck_lifestyle_targets_kind")
        ),
        sa.CheckConstraint("target >= 0", name=op.f("ck_lifestyle_targets_target")),
        sa.CheckConstraint(
            "(ended_on IS NULL) = (ended_at IS NULL) AND (ended_on IS NULL OR ended_on >= starts_on)",
            name=op.f("ck_lifestyle_targets_ended"),
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_lifestyle_targets_clinic_id")),
        _within("lifestyle_targets", "patient_id", "patients"),
        _within("lifestyle_targets", "episode_id", "episodes"),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_lifestyle_targets")),
    )
    op.create_index(
        "uq_lifestyle_targets_kind",
        "lifestyle_targets",
        ["clinic_id", "episode_id", "kind"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "ix_lifestyle_targets_episode_id", "lifestyle_targets", ["clinic_id", "episode_id", "created_at", "id"]
    )
    for table, columns in CHANGING.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY clinic ON {table} TO physio_api, physio_worker"
            f" USING (clinic_id = {BOUND}) WITH CHECK (clinic_id = {BOUND})"
        )
        op.execute(f"GRANT SELECT, INSERT ON {table} TO physio_api, physio_worker")
        op.execute(f"GRANT UPDATE ({columns}) ON {table} TO physio_api, physio_worker")


def downgrade() -> None:
    op.drop_table("lifestyle_targets")
    op.drop_table("milestones")
