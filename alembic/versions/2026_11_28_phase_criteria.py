"""Criteria of phases that are computed, and which programs are ready for the next one."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

BOUND = "nullif(current_setting('app.clinic_id', true), '')::uuid"
LINKS = {"patient_id": "patients", "program_id": "programs"}


def upgrade() -> None:
    for side in ("entry", "exit"):
        op.add_column(
            "program_phases",
            sa.Column(side, postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        )
        few = f"CASE jsonb_typeof({side}) WHEN 'array' THEN jsonb_array_length({side}) <= 8 ELSE false END"
        name = f"ck_program_phases_{side}"
        op.execute(f"ALTER TABLE program_phases ADD CONSTRAINT {name} CHECK ({few}) NOT VALID")
    op.create_table(
        "phase_readiness",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("program_id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("began_on", sa.Date(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("position >= 1", name=op.f("ck_phase_readiness_position")),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_phase_readiness_clinic_id")),
        *(
            sa.ForeignKeyConstraint(
                ["clinic_id", column],
                [f"{target}.clinic_id", f"{target}.id"],
                name=op.f(f"fk_phase_readiness_clinic_id_{column}"),
            )
            for column, target in LINKS.items()
        ),
        sa.PrimaryKeyConstraint("clinic_id", "program_id", name=op.f("pk_phase_readiness")),
    )
    op.create_index("ix_phase_readiness_patient_id", "phase_readiness", ["clinic_id", "patient_id"])
    op.execute("ALTER TABLE phase_readiness ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE phase_readiness FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY clinic ON phase_readiness TO physio_api, physio_worker"
        f" USING (clinic_id = {BOUND}) WITH CHECK (clinic_id = {BOUND})"
    )
    op.execute("GRANT SELECT, INSERT, DELETE ON phase_readiness TO physio_api, physio_worker")
    op.execute("GRANT UPDATE (position, began_on, since) ON phase_readiness TO physio_api, physio_worker")


def downgrade() -> None:
    op.drop_table("phase_readiness")
    for side in ("exit", "entry"):
        op.drop_column("program_phases", side)
