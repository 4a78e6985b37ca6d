"""A sweep over all clinics leaves its traces in the audit trail."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SWEPT = "clinic_id, at, role, action, resource_type, resource_id, patient_id"


def upgrade() -> None:
    op.execute("CREATE POLICY sweep ON audit_events FOR INSERT TO physio_sweeper WITH CHECK (true)")
    op.execute(f"GRANT INSERT ({SWEPT}) ON audit_events TO physio_sweeper")


def downgrade() -> None:
    op.execute(f"REVOKE INSERT ({SWEPT}) ON audit_events FROM physio_sweeper")
    op.execute("DROP POLICY sweep ON audit_events")
