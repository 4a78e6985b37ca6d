"""What patients tell of contributing factors: self-care, the workstation, work; never changed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

BOUND = "nullif(current_setting('app.clinic_id', true), '')::uuid"


def upgrade() -> None:
    op.create_table(
        "factor_entries",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("episode_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("local_date", sa.Date(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("device_zone", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("noted_by", sa.Uuid(), nullable=False),
        sa.Column("content", postgresql.JSONB(), nullable=False),
        sa.Column("list_version", sa.Text(), nullable=True),
        sa.Column("body_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("supersedes_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('self_care', 'workstation', 'work_exposure')", name=op.f("ck_factor_entries_kind")
        ),
        sa.CheckConstraint("jsonb_typeof(content) = 'object'", name=op.f("ck_factor_entries_content")),
        sa.CheckConstraint(
            "(list_version IS NOT NULL) = (kind = 'workstation')", name=op.f("ck_factor_entries_list_version")
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_factor_entries_clinic_id")),
        *(
            sa.ForeignKeyConstraint(
                ["clinic_id", column],
                [f"{table}.clinic_id", f"{table}.id"],
                name=op.f(f"fk_factor_entries_clinic_id_{column}"),
            )
            for column, table in (
                ("patient_id", "patients"),
                ("episode_id", "episodes"),
                ("supersedes_id", "factor_entries"),
            )
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_factor_entries")),
    )
    op.create_index("ix_factor_entries_patient_id", "factor_entries", ["clinic_id", "patient_id", "local_date", "id"])
    op.create_index(
        "uq_factor_entries_supersedes_id",
        "factor_entries",
        ["clinic_id", "supersedes_id"],
        unique=True,
        postgresql_where=sa.text("supersedes_id IS NOT NULL"),
    )
    op.execute("ALTER TABLE factor_entries ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE factor_entries FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY clinic ON factor_entries TO physio_api, physio_worker"
        f" USING (clinic_id = {BOUND}) WITH CHECK (clinic_id = {BOUND})"
    )
    op.execute("GRANT SELECT, INSERT ON factor_entries TO physio_api, physio_worker")


def downgrade() -> None:
    op.drop_table("factor_entries")
