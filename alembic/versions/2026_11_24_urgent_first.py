"""Urgent messages and consents that run out are found quickly; what a message stands for is kept with it."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

INDEXES = {
    "ix_notifications_urgent": (
        "notifications",
        "due_at",
        "status IN ('owed', 'failed') AND category IN ('red_flag', 'security')",
    ),
    "ix_consents_expires_on": ("consents", "expires_on", "status IN ('given', 'offered') AND expires_on IS NOT NULL"),
}


def upgrade() -> None:
    op.execute("GRANT SELECT (category) ON notifications TO physio_sweeper")
    op.execute("GRANT UPDATE (parameters) ON notifications TO physio_api, physio_worker")
    # Without a lock on tables that are in use: each outside of a transaction, and again if cut off.
    with op.get_context().autocommit_block():
        for name, (table, column, where) in INDEXES.items():
            op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
            op.create_index(
                name, table, ["clinic_id", column], postgresql_where=sa.text(where), postgresql_concurrently=True
            )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name, (table, _, _) in INDEXES.items():
            op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
    op.execute("REVOKE UPDATE (parameters) ON notifications FROM physio_api, physio_worker")
    op.execute("REVOKE SELECT (category) ON notifications FROM physio_sweeper")
