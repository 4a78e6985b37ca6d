"""Flare-ups with what happened to them, and check-in plans that ask daily as long as one lasts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

BOUND = "nullif(current_setting('app.clinic_id', true), '')::uuid"
CHANGING = (
    "triggers, screen_id, step, step_at, step_on, reasons, rule_version, held_until, held_by, contacted_at, reassess_at,"
    " review_at, closed_at, closed_on, closed_by, close_reason, updated_at, version"
)
STEP = "step IN ('reduced', 'three_quarters', 'full')"


def _now() -> sa.TextClause:
    return sa.text("now()")


def upgrade() -> None:
    op.create_table(
        "flares",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("episode_id", sa.Uuid(), nullable=False),
        sa.Column("opened_via", sa.String(40), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_on", sa.Date(), nullable=False),
        sa.Column("opened_by", sa.Uuid(), nullable=False),
        sa.Column("triggers", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column("baseline_pain", sa.Integer(), nullable=True),
        sa.Column("baseline_limitation", sa.Integer(), nullable=True),
        sa.Column("screen_id", sa.Uuid(), nullable=True),
        sa.Column("step", sa.String(40), server_default="reduced", nullable=False),
        sa.Column("step_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("step_on", sa.Date(), nullable=False),
        sa.Column("reasons", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column("rule_version", sa.Text(), nullable=False),
        sa.Column("held_until", sa.Date(), nullable=True),
        sa.Column("held_by", sa.Uuid(), nullable=True),
        sa.Column("contacted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reassess_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("review_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_on", sa.Date(), nullable=True),
        sa.Column("closed_by", sa.Uuid(), nullable=True),
        sa.Column("close_reason", sa.String(40), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_now(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=_now(), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("opened_via IN ('patient', 'rule', 'therapist')", name=op.f("ck_flares_opened_via")),
        sa.CheckConstraint(STEP, name=op.f("ck_flares_step")),
        sa.CheckConstraint(
            "close_reason IN ('recovered', 'over', 'mistake', 'plan_changed', 'episode_discharged')",
            name=op.f("ck_flares_close_reason"),
        ),
        sa.CheckConstraint("baseline_pain BETWEEN 0 AND 10", name=op.f("ck_flares_baseline_pain")),
        sa.CheckConstraint("baseline_limitation BETWEEN 0 AND 10", name=op.f("ck_flares_baseline_limitation")),
        sa.CheckConstraint(
            "(closed_at IS NOT NULL) = (step = 'full') AND (closed_at IS NULL) = (closed_on IS NULL)"
            " AND (closed_at IS NULL) = (close_reason IS NULL)",
            name=op.f("ck_flares_closed"),
        ),
        sa.CheckConstraint("(held_until IS NULL) = (held_by IS NULL)", name=op.f("ck_flares_held")),
        sa.CheckConstraint("step_on >= opened_on AND closed_on >= opened_on", name=op.f("ck_flares_days")),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_flares_clinic_id")),
        *(
            sa.ForeignKeyConstraint(
                ["clinic_id", column],
                [f"{table}.clinic_id", f"{table}.id"],
                name=op.f(f"fk_flares_clinic_id_{column}"),
            )
            for column, table in (
                ("patient_id", "patients"),
                ("episode_id", "episodes"),
                ("screen_id", "red_flag_screens"),
            )
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_flares")),
    )
    still_open = sa.text("closed_at IS NULL")
    op.create_index("uq_flares_open", "flares", ["clinic_id", "patient_id"], unique=True, postgresql_where=still_open)
    op.create_index("ix_flares_patient_id", "flares", ["clinic_id", "patient_id", "opened_at", "id"])
    op.create_index("ix_flares_review_at", "flares", ["clinic_id", "review_at"], postgresql_where=still_open)
    op.create_table(
        "flare_events",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("flare_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("check_in_id", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("local_date", sa.Date(), nullable=False),
        sa.Column("step", sa.String(40), nullable=False),
        sa.Column("reasons", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column("rule_version", sa.Text(), nullable=False),
        sa.Column("inputs", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("by", sa.Uuid(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('opened', 'screened', 'step', 'overridden', 'contact', 'reassess', 'closed')",
            name=op.f("ck_flare_events_kind"),
        ),
        sa.CheckConstraint(STEP, name=op.f("ck_flare_events_step")),
        sa.CheckConstraint("char_length(note) BETWEEN 1 AND 500", name=op.f("ck_flare_events_note")),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_flare_events_clinic_id")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "flare_id"],
            ["flares.clinic_id", "flares.id"],
            name=op.f("fk_flare_events_clinic_id_flare_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "check_in_id"],
            ["check_ins.clinic_id", "check_ins.id"],
            name=op.f("fk_flare_events_clinic_id_check_in_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_flare_events")),
    )
    op.create_index("ix_flare_events_flare_id", "flare_events", ["clinic_id", "flare_id", "at"])
    for table in ("flares", "flare_events"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY clinic ON {table} TO physio_api, physio_worker"
            f" USING (clinic_id = {BOUND}) WITH CHECK (clinic_id = {BOUND})"
        )
        op.execute(f"GRANT SELECT, INSERT ON {table} TO physio_api, physio_worker")
    op.execute(f"GRANT UPDATE ({CHANGING}) ON flares TO physio_api, physio_worker")
    # The sweeper only finds out in which clinics there is something to do.
    op.execute("CREATE POLICY sweep ON flares TO physio_sweeper USING (true) WITH CHECK (true)")
    op.execute("GRANT SELECT (clinic_id, review_at, closed_at) ON flares TO physio_sweeper")

    op.add_column("check_in_plans", sa.Column("flare_id", sa.Uuid(), nullable=True))
    op.add_column(
        "check_in_plans", sa.Column("flare_only", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.execute(
        "ALTER TABLE check_in_plans ADD CONSTRAINT fk_check_in_plans_clinic_id_flare_id"
        " FOREIGN KEY (clinic_id, flare_id) REFERENCES flares (clinic_id, id) NOT VALID"
    )
    op.execute(
        "ALTER TABLE check_in_plans ADD CONSTRAINT ck_check_in_plans_flare_only"
        " CHECK (NOT flare_only OR flare_id IS NOT NULL) NOT VALID"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_check_in_plans_flare_only"), "check_in_plans", type_="check")
    op.drop_constraint(op.f("fk_check_in_plans_clinic_id_flare_id"), "check_in_plans", type_="foreignkey")
    op.drop_column("check_in_plans", "flare_only")
    op.drop_column("check_in_plans", "flare_id")
    op.drop_table("flare_events")
    op.drop_table("flares")
