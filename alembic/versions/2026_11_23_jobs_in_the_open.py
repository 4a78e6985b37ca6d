"""Dead letters can be found, and a sandbox has a clock of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

DEAD = "status IN ('dropped', 'refused')"
SHOWN = "template, last_error, created_at"
"""Codes and an instant, for the operator's list of dead letters."""


def upgrade() -> None:
    # What stands before the index is kept if the index is cut off; then all of it is done again.
    op.create_table(
        "sandbox_clock",
        sa.Column("one", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("ahead_seconds", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("one", name=op.f("ck_sandbox_clock_one")),
        sa.CheckConstraint("ahead_seconds >= 0", name=op.f("ck_sandbox_clock_ahead")),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_sandbox_clock")),
        if_not_exists=True,
    )
    op.execute("GRANT SELECT ON sandbox_clock TO physio_api, physio_worker, physio_sweeper")
    op.execute("GRANT UPDATE (ahead_seconds, moved_at) ON sandbox_clock TO physio_sweeper")
    op.execute(f"GRANT SELECT ({SHOWN}) ON notifications TO physio_sweeper")
    with op.get_context().autocommit_block():
        op.drop_index("ix_notifications_dead", "notifications", postgresql_concurrently=True, if_exists=True)
        op.create_index(
            "ix_notifications_dead",
            "notifications",
            ["clinic_id", "id"],
            postgresql_where=sa.text(DEAD),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index("ix_notifications_dead", "notifications", postgresql_concurrently=True, if_exists=True)
    op.execute(f"REVOKE SELECT ({SHOWN}) ON notifications FROM physio_sweeper")
    op.drop_table("sandbox_clock", if_exists=True)
