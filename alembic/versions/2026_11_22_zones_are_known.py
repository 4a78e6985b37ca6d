"""Every zone that a clinic, a patient or a plan names is one whose rules the database knows."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("clinics", "patients", "check_in_plans"):
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT fk_{table}_zone")


def downgrade() -> None:
    pass
