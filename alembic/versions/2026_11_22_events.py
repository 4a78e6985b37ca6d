"""Events: what sweeps and rules add to the feed of live updates."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

BOUND = "nullif(current_setting('app.clinic_id', true), '')::uuid"


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column(
            "xid", sa.BigInteger(), server_default=sa.text("(pg_current_xact_id()::text)::bigint"), nullable=False
        ),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("action ~ '^[a-z_]+\\.[a-z_]+$'", name=op.f("ck_events_action")),
        sa.PrimaryKeyConstraint("clinic_id", "xid", "id", name=op.f("pk_events")),
    )
    op.execute("ALTER TABLE events ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE events FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY clinic ON events TO physio_api, physio_worker"
        f" USING (clinic_id = {BOUND}) WITH CHECK (clinic_id = {BOUND})"
    )
    op.execute("GRANT SELECT, INSERT ON events TO physio_api, physio_worker")
    # The sweeper adds events of all clinics, and removes old ones; it reads only how old they are.
    op.execute("CREATE POLICY sweep ON events TO physio_sweeper USING (true) WITH CHECK (true)")
    op.execute("GRANT SELECT (clinic_id, id), DELETE ON events TO physio_sweeper")
    op.execute("GRANT INSERT (clinic_id, action, resource_id, patient_id, at) ON events TO physio_sweeper")


def downgrade() -> None:
    op.drop_table("events")
