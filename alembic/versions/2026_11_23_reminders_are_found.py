"""Reminders are found quickly, and what the last revision asks holds for older rows, too; without holding anybody up."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

INDEXES = {
    "ix_check_ins_reminding": (
        "check_ins",
        ["clinic_id", "remind_at"],
        "status = 'open' AND remind_at IS NOT NULL",
    ),
    "ix_notifications_patient_id": (
        "notifications",
        ["clinic_id", "patient_id", "due_at"],
        "template = 'check_in_reminder'",
    ),
}


def upgrade() -> None:
    for table, name in (
        ("alert_events", "kind"),
        ("alert_events", "note"),
        ("check_in_plans", "remind_after_hours"),
        ("check_in_plans", "reminders_per_week"),
    ):
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT ck_{table}_{name}")
    # Without a lock on tables that are in use: each outside of a transaction, and again if cut off.
    with op.get_context().autocommit_block():
        for name, (table, columns, where) in INDEXES.items():
            op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
            op.create_index(name, table, columns, postgresql_where=sa.text(where), postgresql_concurrently=True)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name, (table, _, _) in INDEXES.items():
            op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
