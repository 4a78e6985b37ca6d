"""An alert that a sweep opens again forgets who had acknowledged it."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

COLUMNS = "acknowledged_at, acknowledged_by"


def upgrade() -> None:
    op.execute(f"GRANT SELECT ({COLUMNS}), UPDATE ({COLUMNS}) ON alerts TO physio_sweeper")


def downgrade() -> None:
    op.execute(f"REVOKE SELECT ({COLUMNS}), UPDATE ({COLUMNS}) ON alerts FROM physio_sweeper")
