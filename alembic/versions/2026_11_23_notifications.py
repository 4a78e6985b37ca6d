"""Notifications by more than e-mail: channels, devices, preferences, receipts, closed addresses."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

BOUND = "nullif(current_setting('app.clinic_id', true), '')::uuid"

CHANNELS = ("email", "sms", "push", "in_app")
STATUSES = ("owed", "sent", "delivered", "failed", "refused", "dropped", "muted", "merged")
CATEGORIES = ("invitation", "check_in", "alert", "red_flag", "security")
BEFORE = {"channel": ("email", "in_app"), "status": ("owed", "sent", "failed", "refused", "dropped")}

CHANGING = "channel, tries, tried, reference, confirm_by, read_at"

# table: columns that may change after the insert
NEW = {
    "devices": "*",
    "notification_preferences": "*",
    "notification_receipts": "",
}


def _words(name: str, words: tuple[str, ...]) -> sa.Enum:
    return sa.Enum(*words, name=name, native_enum=False, create_constraint=True, length=40)


def _allow(column: str, words: tuple[str, ...]) -> None:
    """Let a column hold these words; rows that are there are looked at by the next revision."""
    listed = ", ".join(f"'{word}'" for word in words)
    op.execute(f"ALTER TABLE notifications DROP CONSTRAINT ck_notifications_{column}")
    op.execute(
        f"ALTER TABLE notifications ADD CONSTRAINT ck_notifications_{column} CHECK ({column} IN ({listed})) NOT VALID"
    )


def upgrade() -> None:
    _allow("channel", CHANNELS)
    _allow("status", STATUSES)
    op.add_column("notifications", sa.Column("category", sa.String(40), nullable=True))
    listed = ", ".join(f"'{word}'" for word in CATEGORIES)
    op.execute(
        f"ALTER TABLE notifications ADD CONSTRAINT ck_notifications_category CHECK (category IN ({listed})) NOT VALID"
    )
    op.add_column("notifications", sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column(
        "notifications",
        sa.Column("tried", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
    )
    op.add_column("notifications", sa.Column("reference", sa.Text(), nullable=True))
    op.add_column("notifications", sa.Column("confirm_by", sa.DateTime(timezone=True), nullable=True))
    op.add_column("notifications", sa.Column("read_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(f"GRANT UPDATE ({CHANGING}) ON notifications TO physio_api, physio_worker")
    op.execute("GRANT INSERT (category), SELECT (confirm_by) ON notifications TO physio_sweeper")

    op.create_table(
        "notification_receipts",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("notification_id", sa.Uuid(), nullable=False),
        sa.Column("channel", _words("channel", CHANNELS), nullable=False),
        sa.Column("device_id", sa.Uuid(), nullable=True),
        sa.Column(
            "status",
            _words("status", ("accepted", "delivered", "failed", "refused", "unconfirmed")),
            nullable=False,
        ),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_notification_receipts_clinic_id")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "notification_id"],
            ["notifications.clinic_id", "notifications.id"],
            name=op.f("fk_notification_receipts_clinic_id_notification_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_notification_receipts")),
    )
    op.create_index(
        "uq_notification_receipts_reference",
        "notification_receipts",
        ["clinic_id", "notification_id", "reference", "status"],
        unique=True,
        postgresql_where=sa.text("reference IS NOT NULL"),
    )
    op.create_index(
        "ix_notification_receipts_notification_id", "notification_receipts", ["clinic_id", "notification_id", "at"]
    )
    op.create_table(
        "devices",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("sign_in_id", sa.Uuid(), nullable=True),
        sa.Column("platform", _words("platform", ("android", "ios", "web")), nullable=False),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("endpoint", sa.Text(), nullable=True),
        sa.Column("p256dh", sa.Text(), nullable=True),
        sa.Column("auth", sa.Text(), nullable=True),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retired_reason", sa.Text(), nullable=True),
        *_versioned(),
        sa.CheckConstraint(
            "(platform = 'web') = (endpoint IS NOT NULL) AND (platform = 'web') = (token IS NULL)",
            name=op.f("ck_devices_address"),
        ),
        sa.CheckConstraint(
            "(endpoint IS NULL) = (p256dh IS NULL) AND (endpoint IS NULL) = (auth IS NULL)",
            name=op.f("ck_devices_keys"),
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_devices_clinic_id")),
        sa.ForeignKeyConstraint(["zone"], ["time_zones.name"], name=op.f("fk_devices_zone")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_devices")),
    )
    op.create_index("ix_devices_account_id", "devices", ["clinic_id", "account_id", "last_seen_at"])
    for column in ("token", "endpoint"):
        op.create_index(
            f"ix_devices_{column}", "devices", ["clinic_id", column], postgresql_where=sa.text("retired_at IS NULL")
        )
    op.create_table(
        "notification_preferences",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("quiet_from", sa.Time(), nullable=True),
        sa.Column("quiet_until", sa.Time(), nullable=True),
        sa.Column("muted_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "channels", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        *_versioned(),
        sa.CheckConstraint(
            "(quiet_from IS NULL) = (quiet_until IS NULL)", name=op.f("ck_notification_preferences_quiet")
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_notification_preferences_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "account_id", name=op.f("pk_notification_preferences")),
    )
    for table, changing in NEW.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY clinic ON {table} TO physio_api, physio_worker"
            f" USING (clinic_id = {BOUND}) WITH CHECK (clinic_id = {BOUND})"
        )
        op.execute(f"GRANT SELECT, INSERT{', UPDATE' if changing else ''} ON {table} TO physio_api, physio_worker")

    op.create_table(
        "closed_addresses",
        sa.Column("channel", _words("channel", CHANNELS), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("reason", _words("reason", ("opted_out", "dead")), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("channel", "address", name=op.f("pk_closed_addresses")),
        schema="identity",
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON identity.closed_addresses TO physio_identity")


def _versioned() -> tuple[sa.Column[object], ...]:
    now = {"server_default": sa.text("now()"), "nullable": False}
    return (
        sa.Column("created_at", sa.DateTime(timezone=True), **now),
        sa.Column("updated_at", sa.DateTime(timezone=True), **now),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("closed_addresses", schema="identity")
    for table in reversed(NEW):
        op.drop_table(table)
    op.execute("REVOKE INSERT (category), SELECT (confirm_by) ON notifications FROM physio_sweeper")
    for column in ("read_at", "confirm_by", "reference", "tried", "tries", "category"):
        op.drop_column("notifications", column)
    op.execute("REVOKE UPDATE (channel) ON notifications FROM physio_api, physio_worker")
    for column, words in BEFORE.items():
        _allow(column, words)
