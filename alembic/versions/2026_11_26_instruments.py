"""Which instruments are asked in an episode, and when; licensed ones that a clinic has filled in."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

BOUND = "nullif(current_setting('app.clinic_id', true), '')::uuid"
CHANGING = "asked_of, intake, every_weeks, report_on, discharge_on, status, next_on, occasion, reminded_on, updated_at, version"
WORDS = {
    "asked_of": ("patient", "staff"),
    "status": ("active", "ended"),
    "occasion": ("intake", "report", "discharge", "interval"),
}
CHECKS = {
    "every_weeks": "every_weeks BETWEEN 1 AND 26",
    "asks": "status = 'ended' OR intake OR every_weeks IS NOT NULL OR report_on IS NOT NULL OR discharge_on IS NOT NULL",
    "due": "(next_on IS NULL) = (occasion IS NULL)",
}
IMPORT_CHECKS = {
    "number": "number >= 1",
    "filled": "(content IS NULL) = (terms_version IS NULL)",
    "terms_version": "char_length(terms_version) BETWEEN 1 AND 80",
    "note": "char_length(note) <= 500",
}


def _words(name: str) -> sa.Enum:
    return sa.Enum(*WORDS[name], name=name, native_enum=False, create_constraint=True, length=40)


def upgrade() -> None:
    op.create_table(
        "instrument_plans",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("episode_id", sa.Uuid(), nullable=False),
        sa.Column("instrument_code", sa.Text(), nullable=False),
        sa.Column("asked_of", _words("asked_of"), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("intake", sa.Boolean(), nullable=False),
        sa.Column("every_weeks", sa.Integer(), nullable=True),
        sa.Column("report_on", sa.Date(), nullable=True),
        sa.Column("discharge_on", sa.Date(), nullable=True),
        sa.Column("status", _words("status"), server_default="active", nullable=False),
        sa.Column("next_on", sa.Date(), nullable=True),
        sa.Column("occasion", _words("occasion"), nullable=True),
        sa.Column("reminded_on", sa.Date(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        *(sa.CheckConstraint(rule, name=op.f(f"ck_instrument_plans_{name}")) for name, rule in CHECKS.items()),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_instrument_plans_clinic_id")),
        *(
            sa.ForeignKeyConstraint(
                ["clinic_id", column],
                [f"{target}.clinic_id", f"{target}.id"],
                name=op.f(f"fk_instrument_plans_clinic_id_{column}"),
            )
            for column, target in (("patient_id", "patients"), ("episode_id", "episodes"))
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_instrument_plans")),
    )
    active = sa.text("status = 'active'")
    op.create_index(
        "uq_instrument_plans_active",
        "instrument_plans",
        ["clinic_id", "episode_id", "instrument_code"],
        unique=True,
        postgresql_where=active,
    )
    op.create_index("ix_instrument_plans_episode_id", "instrument_plans", ["clinic_id", "episode_id", "created_at"])
    op.create_index(
        "ix_instrument_plans_next_on", "instrument_plans", ["clinic_id", "next_on"], postgresql_where=active
    )
    op.create_index(
        "ix_instrument_plans_patient_id", "instrument_plans", ["clinic_id", "patient_id"], postgresql_where=active
    )
    op.execute("ALTER TABLE instrument_plans ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE instrument_plans FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY clinic ON instrument_plans TO physio_api, physio_worker"
        f" USING (clinic_id = {BOUND}) WITH CHECK (clinic_id = {BOUND})"
    )
    op.execute("GRANT SELECT, INSERT ON instrument_plans TO physio_api, physio_worker")
    op.execute(f"GRANT UPDATE ({CHANGING}) ON instrument_plans TO physio_api, physio_worker")
    # The sweeper only finds out in which clinics somebody is to be reminded.
    op.execute("CREATE POLICY sweep ON instrument_plans TO physio_sweeper USING (true) WITH CHECK (true)")
    op.execute("GRANT SELECT (clinic_id, status, asked_of, next_on, reminded_on) ON instrument_plans TO physio_sweeper")
    op.create_table(
        "instrument_imports",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content", postgresql.JSONB(), nullable=True),
        sa.Column("terms_version", sa.Text(), nullable=True),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Uuid(), nullable=False),
        *(sa.CheckConstraint(rule, name=op.f(f"ck_instrument_imports_{name}")) for name, rule in IMPORT_CHECKS.items()),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_instrument_imports_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_instrument_imports")),
        sa.UniqueConstraint("clinic_id", "code", "number", name=op.f("uq_instrument_imports_clinic_id_code_number")),
    )
    op.execute("ALTER TABLE instrument_imports ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE instrument_imports FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY clinic ON instrument_imports TO physio_api, physio_worker"
        f" USING (clinic_id = {BOUND}) WITH CHECK (clinic_id = {BOUND})"
    )
    op.execute("GRANT SELECT, INSERT ON instrument_imports TO physio_api, physio_worker")


def downgrade() -> None:
    op.drop_table("instrument_imports")
    op.drop_table("instrument_plans")
