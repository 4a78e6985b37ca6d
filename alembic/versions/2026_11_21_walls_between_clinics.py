"""Row-level security, grants, and the one way to look up a token.

Append-only tables are append-only because nobody holds UPDATE or DELETE on them; where only some columns of a row may
ever change, only those are granted. Sweeps over all clinics run as `physio_sweeper`, which sees no clinical text.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BOUND = "nullif(current_setting('app.clinic_id', true), '')::uuid"

# table: columns that may change after the insert ("*" all, "" none)
TENANT = {
    "therapists": "*",
    "licenses": "*",
    "license_verifications": "",
    "patients": "*",
    "patient_locations": "",
    "care_links": "role, during, ended_reason, updated_at, version",
    "consents": "status, given_at, given_by, withdrawn_at, updated_at, version",
    "episodes": "*",
    "outcomes": "",
    "red_flag_screens": "status, outcome, outcome_note, closed_at, closed_by, updated_at, version",
    "assessments": "*",
    "goals": "*",
    "exercises": "*",
    "programs": "*",
    "program_versions": "in_force, starts_on",
    "program_pauses": "during, ended_at",
    "program_phases": "",
    "program_items": "",
    "exercise_sessions": "",
    "session_items": "",
    "check_in_plans": "*",
    "check_ins": "status, answered_at, excused_reason",
    "check_in_answers": "",
    "alerts": "*",
    "alert_events": "",
    "reports": "*",
    "notifications": "status, attempts, last_error, sent_at, due_at",
    "invitations": "accepted_at, revoked_at",
    "idempotency_keys": "status, headers, body, subject_patient_id",
    "audit_events": "",
}

# What the sweeps touch: table -> (columns read, columns changed, columns inserted)
SWEPT = {
    "clinics": ("id, name, email, zone, staffed_hours, holidays, settings", "", ""),
    "check_in_plans": (
        "clinic_id, id, patient_id, episode_id, question_set, frequency, weekdays, steps, local_time, zone,"
        " opens_minutes, closes_minutes, late_minutes, starts_on, ends_on, next_on, next_due_at, status",
        "next_on, next_due_at, status, updated_at",
        "",
    ),
    "check_ins": (
        "clinic_id, id, patient_id, episode_id, plan_id, local_date, slot, question_set, zone, status, opens_at,"
        " due_at, closes_at, late_until",
        "status, excused_reason",
        "clinic_id, id, patient_id, episode_id, plan_id, local_date, slot, question_set, zone, status, opens_at,"
        " due_at, closes_at, late_until",
    ),
    "episodes": ("clinic_id, id, status", "", ""),
    "programs": ("clinic_id, id, patient_id, episode_id, status", "", ""),
    "program_pauses": ("clinic_id, program_id, reason, during", "", ""),
    "alerts": (
        "clinic_id, id, patient_id, episode_id, rule_id, rule_version, level, status, raised_at, respond_by,"
        " resolved_at, repeats, overdue_at, version",
        "repeats, level, status, respond_by, overdue_at, updated_at, version",
        "clinic_id, id, patient_id, episode_id, rule_id, rule_version, level, task, status, source_type, source_id,"
        " inputs, raised_at, respond_by",
    ),
    "alert_events": (
        "clinic_id, id, alert_id, kind",
        "",
        "clinic_id, id, alert_id, kind, at, source_type, source_id, inputs",
    ),
    "licenses": (
        "clinic_id, id, therapist_id, status, issued_on, expires_on, in_force, version",
        "status, updated_at, version",
        "",
    ),
    "consents": ("clinic_id, id, status, expires_on, version", "status, updated_at, version", ""),
    "patients": ("clinic_id, id, account_id, zone, status", "", ""),
    "care_links": ("clinic_id, id, patient_id, therapist_id, role, during", "", ""),
    "therapists": ("clinic_id, id, account_id, status", "", ""),
    "notifications": (
        "clinic_id, id, status, due_at, attempts, dedupe_key, channel",
        "status, attempts",
        "clinic_id, id, account_id, patient_id, address, channel, template, parameters, dedupe_key, status, due_at",
    ),
    "idempotency_keys": ("clinic_id, created_at", "", ""),
}


def upgrade() -> None:
    op.execute("GRANT SELECT, INSERT, UPDATE ON job_runs TO physio_api, physio_worker, physio_sweeper")
    op.execute("GRANT SELECT ON alembic_version TO physio_api, physio_worker, physio_sweeper")

    op.execute("ALTER TABLE clinics ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE clinics FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY clinic ON clinics TO physio_api, physio_worker USING (id = {BOUND}) WITH CHECK (id = {BOUND})"
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON clinics TO physio_api, physio_worker")

    for table, changing in TENANT.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY clinic ON {table} TO physio_api, physio_worker"
            f" USING (clinic_id = {BOUND}) WITH CHECK (clinic_id = {BOUND})"
        )
        op.execute(f"GRANT SELECT, INSERT ON {table} TO physio_api, physio_worker")
        if changing:
            columns = "" if changing == "*" else f" ({changing})"
            op.execute(f"GRANT UPDATE{columns} ON {table} TO physio_api, physio_worker")

    # A signed document is final: the database itself lets nobody change it.
    for table in ("assessments", "reports"):
        op.execute(
            f"CREATE POLICY signed_is_final ON {table} AS RESTRICTIVE FOR UPDATE TO physio_api, physio_worker"
            " USING (status = 'draft') WITH CHECK (true)"
        )
    # A check-in that has not opened yet is only a forecast, and may be taken back when its plan changes.
    op.execute(
        "CREATE POLICY forecast ON check_ins AS RESTRICTIVE FOR DELETE TO physio_api, physio_worker"
        " USING (status = 'due')"
    )
    op.execute("GRANT DELETE ON check_ins TO physio_api, physio_worker")

    for table, (read, changed, inserted) in SWEPT.items():
        op.execute(f"CREATE POLICY sweep ON {table} TO physio_sweeper USING (true) WITH CHECK (true)")
        op.execute(f"GRANT SELECT ({read}) ON {table} TO physio_sweeper")
        if changed:
            op.execute(f"GRANT UPDATE ({changed}) ON {table} TO physio_sweeper")
        if inserted:
            op.execute(f"GRANT INSERT ({inserted}) ON {table} TO physio_sweeper")
    op.execute("GRANT DELETE ON idempotency_keys TO physio_sweeper")
    op.execute("GRANT SELECT ON alembic_version TO physio_api, physio_worker")  # /readyz compares

    for table, verbs in {
        "accounts": "SELECT, INSERT, UPDATE",
        "memberships": "SELECT, INSERT, UPDATE",
        "sign_ins": "SELECT, INSERT, UPDATE",
        "throttles": "SELECT, INSERT, UPDATE, DELETE",
    }.items():
        op.execute(f"GRANT {verbs} ON identity.{table} TO physio_identity")
    op.execute(
        """
        CREATE FUNCTION identity.caller(access_hash bytea, at timestamptz)
        RETURNS TABLE (account_id uuid, sign_in_id uuid, membership_id uuid, clinic_id uuid, role text,
                       subject_id uuid, scopes text[])
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = identity, pg_temp
        BEGIN ATOMIC
          SELECT a.id, s.id, m.id, m.clinic_id, m.role::text, m.subject_id, m.scopes
          FROM identity.sign_ins s
          JOIN identity.accounts a ON a.id = s.account_id
          JOIN identity.memberships m ON m.id = s.membership_id
          WHERE s.access_hash = caller.access_hash AND s.revoked_at IS NULL AND s.access_expires_at > caller.at
            AND a.status = 'active' AND (m.ended_at IS NULL OR m.ended_at > caller.at);
        END
        """
    )
    op.execute("REVOKE ALL ON FUNCTION identity.caller(bytea, timestamptz) FROM PUBLIC")
    op.execute("GRANT USAGE ON SCHEMA identity TO physio_api, physio_worker")
    op.execute("GRANT EXECUTE ON FUNCTION identity.caller(bytea, timestamptz) TO physio_api, physio_worker")


def downgrade() -> None:
    op.execute("DROP FUNCTION identity.caller(bytea, timestamptz)")
    op.execute("REVOKE USAGE ON SCHEMA identity FROM physio_api, physio_worker")
    op.execute("REVOKE SELECT ON alembic_version FROM physio_api, physio_worker")
    for table in ("accounts", "memberships", "sign_ins", "throttles"):
        op.execute(f"REVOKE ALL ON identity.{table} FROM physio_identity")
    for table in SWEPT:
        op.execute(f"DROP POLICY sweep ON {table}")
    op.execute("DROP POLICY forecast ON check_ins")
    for table in ("assessments", "reports"):
        op.execute(f"DROP POLICY signed_is_final ON {table}")
    for table in ("clinics", *TENANT):
        op.execute(f"DROP POLICY clinic ON {table}")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
        op.execute(f"REVOKE ALL ON {table} FROM physio_api, physio_worker, physio_sweeper")
    op.execute("REVOKE ALL ON job_runs, alembic_version FROM physio_api, physio_worker, physio_sweeper")
