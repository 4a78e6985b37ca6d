"""Who is told when nobody looks at an alert; and what a plan says about notices, reminders, holidays and rest."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

KINDS = "'raised', 'repeated', 'acknowledged', 'assigned', 'resolved', 'overdue'"
PLAN = "notify_on_open, remind_after_hours, reminders_per_week, muted_until, holidays"


def upgrade() -> None:
    op.add_column("alerts", sa.Column("escalations", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("alerts", sa.Column("escalate_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("alert_events", sa.Column("note", sa.Text(), nullable=True))
    op.drop_constraint("ck_alert_events_kind", "alert_events")
    op.execute(
        "ALTER TABLE alert_events ADD CONSTRAINT ck_alert_events_kind"
        f" CHECK (kind IN ({KINDS}, 'escalated', 'handed_back', 'reopened')) NOT VALID"
    )
    op.execute(
        "ALTER TABLE alert_events ADD CONSTRAINT ck_alert_events_note CHECK (char_length(note) BETWEEN 1 AND 2000)"
        " NOT VALID"
    )

    op.add_column(
        "check_in_plans", sa.Column("notify_on_open", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("check_in_plans", sa.Column("remind_after_hours", sa.Integer(), nullable=True))
    op.add_column("check_in_plans", sa.Column("reminders_per_week", sa.Integer(), nullable=True))
    op.add_column("check_in_plans", sa.Column("muted_until", sa.Date(), nullable=True))
    op.add_column(
        "check_in_plans",
        sa.Column("holidays", postgresql.DATEMULTIRANGE(), server_default=sa.text("'{}'"), nullable=False),
    )
    op.execute(
        "ALTER TABLE check_in_plans ADD CONSTRAINT ck_check_in_plans_remind_after_hours"
        " CHECK (remind_after_hours BETWEEN 1 AND 48) NOT VALID"
    )
    op.execute(
        "ALTER TABLE check_in_plans ADD CONSTRAINT ck_check_in_plans_reminders_per_week"
        " CHECK (reminders_per_week BETWEEN 0 AND 14) NOT VALID"
    )
    op.add_column("check_ins", sa.Column("remind_at", sa.DateTime(timezone=True), nullable=True))

    # What the sweeps touch from now on.
    op.execute("GRANT SELECT (escalations, escalate_at, owner_id) ON alerts TO physio_sweeper")
    op.execute("GRANT UPDATE (escalations, escalate_at, owner_id) ON alerts TO physio_sweeper")
    op.execute("GRANT SELECT (profession) ON therapists TO physio_sweeper")
    op.execute("GRANT INSERT (clinic_id, patient_id, therapist_id, role, during) ON care_links TO physio_sweeper")
    op.execute(f"GRANT SELECT ({PLAN}) ON check_in_plans TO physio_sweeper")
    op.execute("GRANT SELECT (remind_at, session_id), UPDATE (remind_at), INSERT (remind_at, excused_reason) ON check_ins"
               " TO physio_sweeper")  # fmt: skip
    op.execute("GRANT UPDATE (remind_at) ON check_ins TO physio_api, physio_worker")
    op.execute("GRANT SELECT (patient_id, template) ON notifications TO physio_sweeper")

    # Whom to tell when a clinic has nobody else: ids only, and of the bound clinic only where one is bound.
    op.execute(
        """
        CREATE FUNCTION identity.clinic_admins(clinics uuid[], at timestamptz)
        RETURNS TABLE (clinic_id uuid, account_id uuid)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = identity, pg_temp
        BEGIN ATOMIC
          SELECT m.clinic_id, m.account_id
          FROM identity.memberships m JOIN identity.accounts a ON a.id = m.account_id
          WHERE m.clinic_id = ANY (clinics) AND m.role = 'clinic_admin' AND a.status = 'active'
            AND (m.ended_at IS NULL OR m.ended_at > clinic_admins.at)
            AND m.clinic_id = coalesce(nullif(current_setting('app.clinic_id', true), '')::uuid, m.clinic_id);
        END
        """
    )
    op.execute("REVOKE ALL ON FUNCTION identity.clinic_admins(uuid[], timestamptz) FROM PUBLIC")
    op.execute("GRANT USAGE ON SCHEMA identity TO physio_sweeper")
    op.execute(
        "GRANT EXECUTE ON FUNCTION identity.clinic_admins(uuid[], timestamptz)"
        " TO physio_api, physio_worker, physio_sweeper"
    )


def downgrade() -> None:
    op.execute("DROP FUNCTION identity.clinic_admins(uuid[], timestamptz)")
    op.execute("REVOKE USAGE ON SCHEMA identity FROM physio_sweeper")
    op.execute("REVOKE SELECT (patient_id, template) ON notifications FROM physio_sweeper")
    op.execute("REVOKE UPDATE (remind_at) ON check_ins FROM physio_api, physio_worker")
    op.execute("REVOKE SELECT (session_id), INSERT (excused_reason) ON check_ins FROM physio_sweeper")
    op.execute("REVOKE INSERT (clinic_id, patient_id, therapist_id, role, during) ON care_links FROM physio_sweeper")
    op.execute("REVOKE SELECT (profession) ON therapists FROM physio_sweeper")
    op.execute("REVOKE SELECT (owner_id), UPDATE (owner_id) ON alerts FROM physio_sweeper")
    op.drop_column("check_ins", "remind_at")
    for column in reversed(PLAN.split(", ")):
        op.drop_column("check_in_plans", column)
    op.execute(
        "ALTER TABLE alert_events NO FORCE ROW LEVEL SECURITY"
    )  # else the owner, too, would see no row to delete
    op.execute("DELETE FROM alert_events WHERE kind IN ('escalated', 'handed_back', 'reopened')")
    op.execute("ALTER TABLE alert_events FORCE ROW LEVEL SECURITY")
    op.drop_constraint("ck_alert_events_kind", "alert_events")
    op.execute(f"ALTER TABLE alert_events ADD CONSTRAINT ck_alert_events_kind CHECK (kind IN ({KINDS})) NOT VALID")
    op.drop_column("alert_events", "note")
    op.drop_column("alerts", "escalate_at")
    op.drop_column("alerts", "escalations")
