"""Every notification has a channel, status and category that we know; lists and late receipts have an index."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

INDEXES = {
    "ix_notifications_account_id": (["clinic_id", "account_id", "created_at", "id"], None),
    "ix_notifications_confirm_by": (["clinic_id", "confirm_by"], "confirm_by IS NOT NULL"),
}


def upgrade() -> None:
    for column in ("channel", "status", "category"):
        op.execute(f"ALTER TABLE notifications VALIDATE CONSTRAINT ck_notifications_{column}")
    # Without a lock on a table that grows by every message: each outside of a transaction, and again if cut off.
    with op.get_context().autocommit_block():
        for name, (columns, where) in INDEXES.items():
            op.drop_index(name, "notifications", if_exists=True, postgresql_concurrently=True)
            op.create_index(
                name,
                "notifications",
                columns,
                postgresql_where=None if where is None else sa.text(where),
                postgresql_concurrently=True,
            )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name in INDEXES:
            op.drop_index(name, "notifications", if_exists=True, postgresql_concurrently=True)
