"""Every flare-up that a check-in plan names is there; checked beside running requests."""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for constraint in ("fk_check_in_plans_clinic_id_flare_id", "ck_check_in_plans_flare_only"):
        op.execute(f"ALTER TABLE check_in_plans VALIDATE CONSTRAINT {constraint}")


def downgrade() -> None:
    pass
