"""Reminders are found quickly, and what the last revision asks holds for older rows, too; without holding anybody up."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table, name in (
        ("alert_events", "kind"),
        ("alert_events", "note"),
        ("check_in_plans", "remind_after_hours"),
        ("check_in_plans", "reminders_per_week"),
    ):
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT ck_{table}_{name}")
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_check_ins_reminding",
            "check_ins",
            ["clinic_id", "remind_at"],
            postgresql_where=sa.text("status = 'open' AND remind_at IS NOT NULL"),
            postgresql_concurrently=True,
        )
        op.create_index(
            "ix_notifications_patient_id",
            "notifications",
            ["clinic_id", "patient_id", "due_at"],
            postgresql_where=sa.text("template = 'check_in_reminder'"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index("ix_notifications_patient_id", "notifications", postgresql_concurrently=True)
        op.drop_index("ix_check_ins_reminding", "check_ins", postgresql_concurrently=True)
