"""The index of check-in plans by episode keeps its entries apart.

Every check-in moves its plan on, which writes the plan's row anew, and with it an entry of this index that says the same as
before. Entries that share a key would be packed together when a page is full, only to be pulled apart by the next move.
"""

from alembic import op

revision = "0034"
down_revision = "0033b"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER INDEX ix_check_in_plans_episode_id SET (deduplicate_items = off)")


def downgrade() -> None:
    op.execute("ALTER INDEX ix_check_in_plans_episode_id RESET (deduplicate_items)")
