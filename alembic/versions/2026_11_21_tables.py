"""All tables, before their walls."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_events",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("sign_in_id", sa.Uuid(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("resource_type", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Uuid(), nullable=True),
        sa.Column("patient_id", sa.Uuid(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column(
            "xid", sa.BigInteger(), server_default=sa.text("(pg_current_xact_id()::text)::bigint"), nullable=False
        ),
        sa.CheckConstraint("action ~ '^[a-z_]+\\.[a-z_]+$'", name=op.f("ck_audit_events_action")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_audit_events")),
    )
    op.create_index("ix_audit_events_patient_id", "audit_events", ["clinic_id", "patient_id", "at"], unique=False)
    op.create_index("ix_audit_events_xid", "audit_events", ["clinic_id", "xid", "id"], unique=False)
    op.create_table(
        "clinics",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), server_default="", nullable=False),
        sa.Column("phone", sa.Text(), server_default="", nullable=False),
        sa.Column("email", sa.Text(), server_default="", nullable=False),
        sa.Column("paper", sa.Text(), server_default="a4", nullable=False),
        sa.Column(
            "staffed_hours",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "holidays", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column(
            "settings", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("country ~ '^[A-Z]{2}$'", name=op.f("ck_clinics_country")),
        sa.CheckConstraint("paper IN ('a4', 'us-letter')", name=op.f("ck_clinics_paper")),
        sa.CheckConstraint("char_length(name) BETWEEN 1 AND 200", name=op.f("ck_clinics_name")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clinics")),
    )
    op.create_table(
        "accounts",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column(
            "status",
            sa.Enum("active", "disabled", name="status", native_enum=False, create_constraint=True, length=40),
            server_default="active",
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "email = lower(email) AND char_length(email) BETWEEN 3 AND 254", name=op.f("ck_accounts_email")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("email", name=op.f("uq_accounts_email")),
        schema="identity",
    )
    op.create_table(
        "throttles",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("arrives_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_throttles")),
        schema="identity",
        prefixes=["UNLOGGED"],
    )
    op.create_table(
        "job_runs",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("clinic_id", sa.Uuid(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.Text(), server_default="running", nullable=False),
        sa.Column(
            "counts", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint("status IN ('running', 'succeeded', 'failed')", name=op.f("ck_job_runs_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_runs")),
    )
    op.create_index("ix_job_runs_job", "job_runs", ["job", "started_at"], unique=False)
    op.create_table(
        "idempotency_keys",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("subject_patient_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("char_length(key) BETWEEN 1 AND 255", name=op.f("ck_idempotency_keys_key")),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_idempotency_keys_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "account_id", "route", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["clinic_id", "created_at"], unique=False)
    op.create_table(
        "memberships",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "patient",
                "therapist",
                "assistant",
                "clinic_admin",
                "auditor",
                "service",
                name="role",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(role IN ('patient', 'therapist', 'assistant')) = (subject_id IS NOT NULL)",
            name=op.f("ck_memberships_subject"),
        ),
        sa.ForeignKeyConstraint(["account_id"], ["identity.accounts.id"], name=op.f("fk_memberships_account_id")),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_memberships_clinic_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_memberships")),
        sa.UniqueConstraint("account_id", "clinic_id", "role", name=op.f("uq_memberships_account_id_clinic_id_role")),
        schema="identity",
    )
    op.create_index(
        "uq_memberships_subject", "memberships", ["clinic_id", "subject_id"], unique=True, schema="identity"
    )
    op.create_table(
        "invitations",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "patient",
                "therapist",
                "assistant",
                "clinic_admin",
                "auditor",
                "service",
                name="role",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("invited_by", sa.Uuid(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("expires_at > created_at", name=op.f("ck_invitations_expires")),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_invitations_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_invitations")),
    )
    op.create_index("ix_invitations_subject_id", "invitations", ["clinic_id", "subject_id"], unique=False)
    op.create_table(
        "patients",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("record_number", sa.Text(), nullable=False),
        sa.Column("given_name", sa.Text(), nullable=False),
        sa.Column("family_name", sa.Text(), nullable=False),
        sa.Column("birth_date", sa.Date(), nullable=False),
        sa.Column("gender", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), server_default="en", nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("emergency_contact", sa.Text(), nullable=True),
        sa.Column("conditions", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column(
            "status",
            sa.Enum("active", "inactive", name="status", native_enum=False, create_constraint=True, length=40),
            server_default="active",
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint(
            "birth_date BETWEEN DATE '1900-01-01' AND DATE '2100-01-01'", name=op.f("ck_patients_birth_date")
        ),
        sa.CheckConstraint("char_length(family_name) BETWEEN 1 AND 100", name=op.f("ck_patients_family_name")),
        sa.CheckConstraint("char_length(given_name) BETWEEN 1 AND 100", name=op.f("ck_patients_given_name")),
        sa.ForeignKeyConstraint(["account_id"], ["identity.accounts.id"], name=op.f("fk_patients_account_id")),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_patients_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_patients")),
        sa.UniqueConstraint("clinic_id", "record_number", name=op.f("uq_patients_clinic_id_record_number")),
    )
    op.create_index("ix_patients_account_id", "patients", ["clinic_id", "account_id"], unique=False)
    op.create_index(
        "ix_patients_family_name", "patients", ["clinic_id", "family_name", "given_name", "id"], unique=False
    )
    op.create_table(
        "therapists",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("given_name", sa.Text(), nullable=False),
        sa.Column("family_name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), server_default="", nullable=False),
        sa.Column("credentials", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "profession",
            sa.Enum("PT", "PTA", name="profession", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("npi", sa.Text(), nullable=True),
        sa.Column(
            "status",
            sa.Enum("active", "inactive", name="status", native_enum=False, create_constraint=True, length=40),
            server_default="active",
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("npi ~ '^[12][0-9]{9}$'", name=op.f("ck_therapists_npi")),
        sa.CheckConstraint("char_length(family_name) BETWEEN 1 AND 100", name=op.f("ck_therapists_family_name")),
        sa.CheckConstraint("char_length(given_name) BETWEEN 1 AND 100", name=op.f("ck_therapists_given_name")),
        sa.ForeignKeyConstraint(["account_id"], ["identity.accounts.id"], name=op.f("fk_therapists_account_id")),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_therapists_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_therapists")),
        sa.UniqueConstraint("clinic_id", "email", name=op.f("uq_therapists_clinic_id_email")),
        sa.UniqueConstraint("clinic_id", "npi", name=op.f("uq_therapists_clinic_id_npi")),
    )
    op.create_table(
        "care_links",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("therapist_id", sa.Uuid(), nullable=False),
        sa.Column(
            "role",
            sa.Enum("lead", "member", "covering", name="role", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("during", postgresql.TSTZRANGE(), nullable=False),
        sa.Column("ended_reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.column("clinic_id"), "="),
            (sa.column("patient_id"), "="),
            (sa.column("during"), "&&"),
            where=sa.text("role = 'lead'"),
            using="gist",
            name="ex_care_links_one_lead",
        ),
        postgresql.ExcludeConstraint(
            (sa.column("clinic_id"), "="),
            (sa.column("patient_id"), "="),
            (sa.column("therapist_id"), "="),
            (sa.column("during"), "&&"),
            using="gist",
            name="ex_care_links_one_per_pair",
        ),
        sa.CheckConstraint("NOT isempty(during) AND lower(during) IS NOT NULL", name=op.f("ck_care_links_during")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_care_links_clinic_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "therapist_id"],
            ["therapists.clinic_id", "therapists.id"],
            name=op.f("fk_care_links_clinic_id_therapist_id"),
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_care_links_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_care_links")),
    )
    op.create_index(
        "ix_care_links_therapist_id", "care_links", ["clinic_id", "therapist_id", "patient_id"], unique=False
    )
    op.create_table(
        "consents",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column(
            "purpose",
            sa.Enum(
                "telehealth",
                "remote_monitoring",
                "reminders",
                "recording",
                "sharing",
                "research",
                "photos",
                name="purpose",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column(
            "status",
            sa.Enum(
                "offered",
                "given",
                "withdrawn",
                "expired",
                "superseded",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("text_version", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), server_default="en", nullable=False),
        sa.Column(
            "method",
            sa.Enum(
                "electronic", "verbal", "written", name="method", native_enum=False, create_constraint=True, length=40
            ),
            nullable=False,
        ),
        sa.Column("explained_by", sa.Text(), server_default="", nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("given_by", sa.Uuid(), nullable=True),
        sa.Column("expires_on", sa.Date(), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("(status = 'offered') = (given_at IS NULL)", name=op.f("ck_consents_given")),
        sa.CheckConstraint("(status = 'withdrawn') = (withdrawn_at IS NOT NULL)", name=op.f("ck_consents_withdrawn")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_consents_clinic_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_consents_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_consents")),
    )
    op.create_index("ix_consents_patient_id", "consents", ["clinic_id", "patient_id", "created_at"], unique=False)
    op.create_index(
        "uq_consents_given",
        "consents",
        ["clinic_id", "patient_id", "purpose"],
        unique=True,
        postgresql_where=sa.text("status = 'given'"),
    )
    op.create_table(
        "episodes",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body_region", sa.Text(), nullable=False),
        sa.Column("icd10_codes", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "referred",
                "intake",
                "active",
                "on_hold",
                "maintenance",
                "discharged",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            server_default="intake",
            nullable=False,
        ),
        sa.Column("onset_on", sa.Date(), nullable=True),
        sa.Column("started_on", sa.Date(), server_default=sa.text("CURRENT_DATE"), nullable=False),
        sa.Column("status_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("discharged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("(status = 'discharged') = (discharged_at IS NOT NULL)", name=op.f("ck_episodes_closed")),
        sa.CheckConstraint("char_length(title) BETWEEN 1 AND 200", name=op.f("ck_episodes_title")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_episodes_clinic_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_episodes_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_episodes")),
    )
    op.create_index("ix_episodes_patient_id", "episodes", ["clinic_id", "patient_id", "created_at"], unique=False)
    op.create_table(
        "exercises",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column(
            "scope",
            sa.Enum("library", "clinic", "own", name="scope", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("target_region", sa.Text(), nullable=False),
        sa.Column("body_regions", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("position", sa.Text(), server_default="", nullable=False),
        sa.Column("equipment", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column("default_dosage", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("instructions", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column("cues", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column(
            "contraindications",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column("precautions", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column("progression_of", sa.Text(), nullable=True),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("(scope = 'own') = (owner_id IS NOT NULL)", name=op.f("ck_exercises_owner")),
        sa.CheckConstraint("char_length(name) BETWEEN 1 AND 200", name=op.f("ck_exercises_name")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "owner_id"],
            ["therapists.clinic_id", "therapists.id"],
            name=op.f("fk_exercises_clinic_id_owner_id"),
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_exercises_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_exercises")),
    )
    op.create_index("ix_exercises_name", "exercises", ["clinic_id", "name", "id"], unique=False)
    op.create_index("ix_exercises_region", "exercises", ["clinic_id", "target_region", "phase"], unique=False)
    op.create_index("uq_exercises_code", "exercises", ["clinic_id", "code"], unique=True)
    op.create_table(
        "sign_ins",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("membership_id", sa.Uuid(), nullable=False),
        sa.Column("seed", sa.LargeBinary(), nullable=False),
        sa.Column("generation", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("access_hash", sa.LargeBinary(), nullable=False),
        sa.Column("access_expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("refresh_expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("idle_expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rotated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_reason", sa.Text(), nullable=True),
        sa.Column("device", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["identity.accounts.id"], name=op.f("fk_sign_ins_account_id")),
        sa.ForeignKeyConstraint(["membership_id"], ["identity.memberships.id"], name=op.f("fk_sign_ins_membership_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_ins")),
        schema="identity",
    )
    op.create_index("ix_sign_ins_account_id", "sign_ins", ["account_id"], unique=False, schema="identity")
    op.create_index("uq_sign_ins_access_hash", "sign_ins", ["access_hash"], unique=True, schema="identity")
    op.create_table(
        "licenses",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("therapist_id", sa.Uuid(), nullable=False),
        sa.Column(
            "profession",
            sa.Enum("PT", "PTA", name="profession", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("jurisdiction", sa.Text(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "license",
                "compact_privilege",
                "register",
                "telehealth_registration",
                name="kind",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "unverified",
                "verified",
                "expiring",
                "expired",
                "restricted",
                "revoked",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            server_default="unverified",
            nullable=False,
        ),
        sa.Column("issued_on", sa.Date(), nullable=False),
        sa.Column("expires_on", sa.Date(), nullable=False),
        sa.Column(
            "in_force",
            postgresql.DATERANGE(),
            sa.Computed("daterange(issued_on, expires_on, '[]')", persisted=True),
            nullable=False,
        ),
        sa.Column("conditions", sa.Text(), server_default="", nullable=False),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_check_on", sa.Date(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("jurisdiction ~ '^[A-Z]{2}(-[A-Z0-9]{1,3})?$'", name=op.f("ck_licenses_jurisdiction")),
        sa.CheckConstraint("char_length(number) BETWEEN 1 AND 40", name=op.f("ck_licenses_number")),
        sa.CheckConstraint("expires_on > issued_on", name=op.f("ck_licenses_dates")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "therapist_id"],
            ["therapists.clinic_id", "therapists.id"],
            name=op.f("fk_licenses_clinic_id_therapist_id"),
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_licenses_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_licenses")),
        sa.UniqueConstraint(
            "clinic_id", "jurisdiction", "kind", "number", name=op.f("uq_licenses_clinic_id_jurisdiction_kind_number")
        ),
    )
    op.create_index("ix_licenses_therapist_id", "licenses", ["clinic_id", "therapist_id", "jurisdiction"], unique=False)
    op.create_table(
        "notifications",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("patient_id", sa.Uuid(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column(
            "channel",
            sa.Enum("email", "in_app", name="channel", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column(
            "parameters", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("dedupe_key", sa.Text(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "owed",
                "sent",
                "failed",
                "refused",
                "dropped",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            server_default="owed",
            nullable=False,
        ),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("attempts BETWEEN 0 AND 20", name=op.f("ck_notifications_attempts")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_notifications_clinic_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_notifications_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_notifications")),
        sa.UniqueConstraint("clinic_id", "dedupe_key", name=op.f("uq_notifications_clinic_id_dedupe_key")),
    )
    op.create_index(
        "ix_notifications_due",
        "notifications",
        ["clinic_id", "due_at"],
        unique=False,
        postgresql_where=sa.text("status IN ('owed', 'failed')"),
    )
    op.create_table(
        "patient_locations",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("attested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attested_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("country ~ '^[A-Z]{2}$'", name=op.f("ck_patient_locations_country")),
        sa.CheckConstraint("region ~ '^[A-Z0-9]{1,3}$'", name=op.f("ck_patient_locations_region")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_patient_locations_clinic_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_patient_locations_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_patient_locations")),
    )
    op.create_index(
        "ix_patient_locations_patient_id", "patient_locations", ["clinic_id", "patient_id", "attested_at"], unique=False
    )
    op.create_table(
        "alerts",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("episode_id", sa.Uuid(), nullable=True),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("rule_version", sa.Text(), nullable=False),
        sa.Column(
            "level",
            sa.Enum(
                "routine",
                "watch",
                "refer",
                "high",
                "urgent_same_day",
                "emergency_now",
                name="level",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("task", sa.Text(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "open",
                "acknowledged",
                "assigned",
                "resolved",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            server_default="open",
            nullable=False,
        ),
        sa.Column("source_type", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=True),
        sa.Column(
            "inputs", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("repeats", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("respond_by", sa.DateTime(timezone=True), nullable=False),
        sa.Column("overdue_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_by", sa.Uuid(), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_by", sa.Uuid(), nullable=True),
        sa.Column(
            "outcome",
            sa.Enum(
                "patient_contacted",
                "program_changed",
                "visit_arranged",
                "referred",
                "sent_to_emergency",
                "not_reached",
                "no_action_needed",
                name="outcome",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=True,
        ),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint(
            "(status = 'resolved') = (resolved_at IS NOT NULL AND outcome IS NOT NULL)", name=op.f("ck_alerts_resolved")
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "episode_id"],
            ["episodes.clinic_id", "episodes.id"],
            name=op.f("fk_alerts_clinic_id_episode_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "owner_id"],
            ["therapists.clinic_id", "therapists.id"],
            name=op.f("fk_alerts_clinic_id_owner_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_alerts_clinic_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_alerts_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_alerts")),
    )
    op.create_index("ix_alerts_patient_id", "alerts", ["clinic_id", "patient_id", "raised_at", "id"], unique=False)
    op.create_index(
        "ix_alerts_respond_by",
        "alerts",
        ["clinic_id", "respond_by", "id"],
        unique=False,
        postgresql_where=sa.text("status <> 'resolved'"),
    )
    op.create_index(
        "uq_alerts_unresolved",
        "alerts",
        ["clinic_id", "patient_id", "rule_id"],
        unique=True,
        postgresql_where=sa.text("status <> 'resolved'"),
    )
    op.create_table(
        "assessments",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("episode_id", sa.Uuid(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "initial",
                "reassessment",
                "discharge",
                name="kind",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("assessed_on", sa.Date(), nullable=False),
        sa.Column(
            "content", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column(
            "status",
            sa.Enum("draft", "signed", "amended", name="status", native_enum=False, create_constraint=True, length=40),
            server_default="draft",
            nullable=False,
        ),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("signed_as", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("content_sha256", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint(
            "(status = 'draft') = (signed_at IS NULL AND content_sha256 IS NULL)", name=op.f("ck_assessments_signed")
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "author_id"],
            ["therapists.clinic_id", "therapists.id"],
            name=op.f("fk_assessments_clinic_id_author_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "episode_id"],
            ["episodes.clinic_id", "episodes.id"],
            name=op.f("fk_assessments_clinic_id_episode_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_assessments_clinic_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_assessments_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_assessments")),
    )
    op.create_index("ix_assessments_episode_id", "assessments", ["clinic_id", "episode_id", "created_at"], unique=False)
    op.create_table(
        "check_in_plans",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("episode_id", sa.Uuid(), nullable=False),
        sa.Column("question_set", sa.Text(), nullable=False),
        sa.Column(
            "frequency",
            sa.Enum(
                "daily",
                "weekdays",
                "times_per_week",
                "after_session",
                name="frequency",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("weekdays", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column("times_per_week", sa.Integer(), nullable=True),
        sa.Column("steps", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column("local_time", sa.Time(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("follow_zone", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("opens_minutes", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("closes_minutes", sa.Integer(), server_default=sa.text("1200"), nullable=False),
        sa.Column("late_minutes", sa.Integer(), server_default=sa.text("1440"), nullable=False),
        sa.Column("after_hours", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.Column("next_on", sa.Date(), nullable=True),
        sa.Column("next_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "status",
            sa.Enum("active", "paused", "ended", name="status", native_enum=False, create_constraint=True, length=40),
            server_default="active",
            nullable=False,
        ),
        sa.Column("status_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("(next_on IS NULL) = (next_due_at IS NULL)", name=op.f("ck_check_in_plans_next")),
        sa.CheckConstraint("cardinality(steps) = 7", name=op.f("ck_check_in_plans_steps")),
        sa.CheckConstraint("closes_minutes BETWEEN 15 AND 10080", name=op.f("ck_check_in_plans_closes_minutes")),
        sa.CheckConstraint("ends_on IS NULL OR ends_on >= starts_on", name=op.f("ck_check_in_plans_dates")),
        sa.CheckConstraint("late_minutes BETWEEN 0 AND 10080", name=op.f("ck_check_in_plans_late_minutes")),
        sa.CheckConstraint("opens_minutes BETWEEN 0 AND 1440", name=op.f("ck_check_in_plans_opens_minutes")),
        sa.CheckConstraint("times_per_week BETWEEN 1 AND 7", name=op.f("ck_check_in_plans_times_per_week")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "episode_id"],
            ["episodes.clinic_id", "episodes.id"],
            name=op.f("fk_check_in_plans_clinic_id_episode_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_check_in_plans_clinic_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_check_in_plans_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_check_in_plans")),
    )
    op.create_index(
        "ix_check_in_plans_after_session",
        "check_in_plans",
        ["clinic_id", "patient_id"],
        unique=False,
        postgresql_where=sa.text("frequency = 'after_session'"),
    )
    op.create_index(
        "ix_check_in_plans_due",
        "check_in_plans",
        ["clinic_id", "next_due_at"],
        unique=False,
        postgresql_where=sa.text("status = 'active'"),
    )
    op.create_index("ix_check_in_plans_episode_id", "check_in_plans", ["clinic_id", "episode_id"], unique=False)
    op.create_table(
        "goals",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("episode_id", sa.Uuid(), nullable=False),
        sa.Column("statement", sa.Text(), nullable=False),
        sa.Column("measure", sa.Text(), nullable=True),
        sa.Column("activity_id", sa.Text(), nullable=True),
        sa.Column("baseline", sa.Numeric(precision=7, scale=2), nullable=True),
        sa.Column("target", sa.Numeric(precision=7, scale=2), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "active",
                "achieved",
                "not_achieved",
                "canceled",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            server_default="active",
            nullable=False,
        ),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("char_length(statement) BETWEEN 1 AND 500", name=op.f("ck_goals_statement")),
        sa.CheckConstraint(
            "measure IS NOT NULL OR (baseline IS NULL AND target IS NULL AND activity_id IS NULL)",
            name=op.f("ck_goals_measured"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "episode_id"],
            ["episodes.clinic_id", "episodes.id"],
            name=op.f("fk_goals_clinic_id_episode_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_goals_clinic_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_goals_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_goals")),
    )
    op.create_index("ix_goals_episode_id", "goals", ["clinic_id", "episode_id", "created_at"], unique=False)
    op.create_table(
        "license_verifications",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("license_id", sa.Uuid(), nullable=False),
        sa.Column(
            "result",
            sa.Enum(
                "verified",
                "not_found",
                "expired",
                "restricted",
                "revoked",
                name="result",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column(
            "method",
            sa.Enum(
                "primary_source_site",
                "primary_source_api",
                "fsbpt",
                "document",
                name="method",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column(
            "evidence", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("verified_by", sa.Uuid(), nullable=False),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["clinic_id", "license_id"],
            ["licenses.clinic_id", "licenses.id"],
            name=op.f("fk_license_verifications_clinic_id_license_id"),
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_license_verifications_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_license_verifications")),
    )
    op.create_index(
        "ix_license_verifications_license_id",
        "license_verifications",
        ["clinic_id", "license_id", "verified_at"],
        unique=False,
    )
    op.create_table(
        "outcomes",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("episode_id", sa.Uuid(), nullable=False),
        sa.Column("instrument_code", sa.Text(), nullable=False),
        sa.Column("instrument_version", sa.Text(), nullable=False),
        sa.Column("answers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("scores", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("score_id", sa.Text(), nullable=True),
        sa.Column("score", sa.Numeric(precision=7, scale=2), nullable=True),
        sa.Column("band", sa.Text(), nullable=True),
        sa.Column("prorated", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("safety_unknown", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "fired", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column("change", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("administered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("administered_on", sa.Date(), nullable=False),
        sa.Column("recorded_by", sa.Uuid(), nullable=False),
        sa.Column("supersedes_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("jsonb_typeof(answers) = 'object'", name=op.f("ck_outcomes_answers")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "episode_id"],
            ["episodes.clinic_id", "episodes.id"],
            name=op.f("fk_outcomes_clinic_id_episode_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_outcomes_clinic_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "supersedes_id"],
            ["outcomes.clinic_id", "outcomes.id"],
            name=op.f("fk_outcomes_clinic_id_supersedes_id"),
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_outcomes_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_outcomes")),
    )
    op.create_index(
        "ix_outcomes_episode_id",
        "outcomes",
        ["clinic_id", "episode_id", "instrument_code", "administered_at"],
        unique=False,
    )
    op.create_index("ix_outcomes_patient_id", "outcomes", ["clinic_id", "patient_id", "administered_at"], unique=False)
    op.create_index("uq_outcomes_supersedes_id", "outcomes", ["clinic_id", "supersedes_id"], unique=True)
    op.create_table(
        "red_flag_screens",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("episode_id", sa.Uuid(), nullable=True),
        sa.Column(
            "trigger",
            sa.Enum(
                "intake",
                "weekly",
                "new_symptom",
                "flare",
                "unlock",
                name="trigger",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("answers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("rule_version", sa.Text(), nullable=False),
        sa.Column(
            "fired", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column(
            "level",
            sa.Enum(
                "none",
                "watch",
                "refer",
                "urgent_same_day",
                "emergency_now",
                name="level",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("missing", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column("advice", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "open",
                "patient_advised",
                "clinician_contacted",
                "closed",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("screened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("screened_by", sa.Uuid(), nullable=False),
        sa.Column(
            "outcome",
            sa.Enum(
                "sent_to_emergency",
                "seen_by_clinician",
                "referred",
                "no_action_needed",
                name="outcome",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=True,
        ),
        sa.Column("outcome_note", sa.Text(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint(
            "(status = 'closed') = (closed_at IS NOT NULL AND closed_by IS NOT NULL AND outcome IS NOT NULL)",
            name=op.f("ck_red_flag_screens_closed"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "episode_id"],
            ["episodes.clinic_id", "episodes.id"],
            name=op.f("fk_red_flag_screens_clinic_id_episode_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_red_flag_screens_clinic_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_red_flag_screens_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_red_flag_screens")),
    )
    op.create_index(
        "ix_red_flag_screens_patient_id", "red_flag_screens", ["clinic_id", "patient_id", "screened_at"], unique=False
    )
    op.create_table(
        "reports",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("episode_id", sa.Uuid(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("progress", "discharge", name="kind", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("period_from", sa.Date(), nullable=False),
        sa.Column("period_to", sa.Date(), nullable=False),
        sa.Column("snapshot", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "narrative", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column(
            "status",
            sa.Enum("draft", "signed", "amended", name="status", native_enum=False, create_constraint=True, length=40),
            server_default="draft",
            nullable=False,
        ),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("signed_as", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("content_sha256", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint(
            "(status = 'draft') = (signed_at IS NULL AND content_sha256 IS NULL)", name=op.f("ck_reports_signed")
        ),
        sa.CheckConstraint("period_to >= period_from", name=op.f("ck_reports_period")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "author_id"],
            ["therapists.clinic_id", "therapists.id"],
            name=op.f("fk_reports_clinic_id_author_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "episode_id"],
            ["episodes.clinic_id", "episodes.id"],
            name=op.f("fk_reports_clinic_id_episode_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_reports_clinic_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_reports_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_reports")),
    )
    op.create_index("ix_reports_episode_id", "reports", ["clinic_id", "episode_id", "created_at"], unique=False)
    op.create_table(
        "alert_events",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Uuid(), nullable=True),
        sa.Column("source_type", sa.Text(), nullable=True),
        sa.Column("source_id", sa.Uuid(), nullable=True),
        sa.Column(
            "inputs", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.CheckConstraint(
            "kind IN ('raised', 'repeated', 'acknowledged', 'assigned', 'resolved', 'overdue')",
            name=op.f("ck_alert_events_kind"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "alert_id"],
            ["alerts.clinic_id", "alerts.id"],
            name=op.f("fk_alert_events_clinic_id_alert_id"),
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_alert_events_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_alert_events")),
    )
    op.create_index("ix_alert_events_alert_id", "alert_events", ["clinic_id", "alert_id", "at"], unique=False)
    op.create_table(
        "check_ins",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("episode_id", sa.Uuid(), nullable=False),
        sa.Column("plan_id", sa.Uuid(), nullable=True),
        sa.Column("local_date", sa.Date(), nullable=False),
        sa.Column("slot", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("question_set", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "due",
                "open",
                "submitted",
                "late",
                "missed",
                "excused",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("opens_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closes_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("late_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("excused_reason", sa.Text(), nullable=True),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(status IN ('submitted', 'late')) = (answered_at IS NOT NULL)", name=op.f("ck_check_ins_answered")
        ),
        sa.CheckConstraint(
            "opens_at <= due_at AND due_at < closes_at AND closes_at <= late_until", name=op.f("ck_check_ins_window")
        ),
        sa.CheckConstraint("slot >= 1", name=op.f("ck_check_ins_slot")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "episode_id"],
            ["episodes.clinic_id", "episodes.id"],
            name=op.f("fk_check_ins_clinic_id_episode_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_check_ins_clinic_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "plan_id"],
            ["check_in_plans.clinic_id", "check_in_plans.id"],
            name=op.f("fk_check_ins_clinic_id_plan_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_check_ins")),
        sa.UniqueConstraint("clinic_id", "plan_id", "local_date", "slot", name="uq_check_ins_occurrence"),
    )
    op.create_index(
        "ix_check_ins_closing",
        "check_ins",
        ["clinic_id", "closes_at"],
        unique=False,
        postgresql_where=sa.text("status IN ('due', 'open')"),
    )
    op.create_index(
        "ix_check_ins_opening",
        "check_ins",
        ["clinic_id", "opens_at"],
        unique=False,
        postgresql_where=sa.text("status = 'due'"),
    )
    op.create_index("ix_check_ins_patient_id", "check_ins", ["clinic_id", "patient_id", "due_at", "id"], unique=False)
    op.create_table(
        "programs",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("episode_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "draft",
                "active",
                "paused",
                "suspended_red_flag",
                "completed",
                "superseded",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            server_default="draft",
            nullable=False,
        ),
        sa.Column("status_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("suspended_by_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint(
            "(status = 'suspended_red_flag') = (suspended_by_id IS NOT NULL)", name=op.f("ck_programs_suspended")
        ),
        sa.CheckConstraint("char_length(title) BETWEEN 1 AND 200", name=op.f("ck_programs_title")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "episode_id"],
            ["episodes.clinic_id", "episodes.id"],
            name=op.f("fk_programs_clinic_id_episode_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_programs_clinic_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "suspended_by_id"],
            ["red_flag_screens.clinic_id", "red_flag_screens.id"],
            name=op.f("fk_programs_clinic_id_suspended_by_id"),
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_programs_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_programs")),
    )
    op.create_index("ix_programs_patient_id", "programs", ["clinic_id", "patient_id", "created_at"], unique=False)
    op.create_index(
        "uq_programs_in_use",
        "programs",
        ["clinic_id", "episode_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('active', 'paused', 'suspended_red_flag')"),
    )
    op.create_table(
        "check_in_answers",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("check_in_id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("question_set", sa.Text(), nullable=False),
        sa.Column("question_set_version", sa.Text(), nullable=False),
        sa.Column("answers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("pain_now", sa.Integer(), nullable=True),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_by", sa.Uuid(), nullable=False),
        sa.Column("device_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("device_zone", sa.Text(), nullable=True),
        sa.Column(
            "raised", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column("body_sha256", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("jsonb_typeof(answers) = 'object'", name=op.f("ck_check_in_answers_answers")),
        sa.CheckConstraint("pain_now BETWEEN 0 AND 10", name=op.f("ck_check_in_answers_pain_now")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "check_in_id"],
            ["check_ins.clinic_id", "check_ins.id"],
            name=op.f("fk_check_in_answers_clinic_id_check_in_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "check_in_id", name=op.f("pk_check_in_answers")),
    )
    op.create_index(
        "ix_check_in_answers_patient_id",
        "check_in_answers",
        ["clinic_id", "patient_id", "answered_at"],
        unique=False,
        postgresql_include=["pain_now"],
    )
    op.create_table(
        "program_pauses",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("program_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("during", postgresql.DATERANGE(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        postgresql.ExcludeConstraint(
            (sa.column("clinic_id"), "="),
            (sa.column("program_id"), "="),
            (sa.column("during"), "&&"),
            using="gist",
            name="ex_program_pauses_during",
        ),
        sa.CheckConstraint(
            "reason IN ('program_paused', 'red_flag_suspended', 'holiday_agreed', 'therapist_excused')",
            name=op.f("ck_program_pauses_reason"),
        ),
        sa.CheckConstraint("ended_at >= began_at", name=op.f("ck_program_pauses_ended_at")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "program_id"],
            ["programs.clinic_id", "programs.id"],
            name=op.f("fk_program_pauses_clinic_id_program_id"),
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_program_pauses_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_program_pauses")),
    )
    op.create_table(
        "program_versions",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("program_id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("pain_ceiling", sa.Integer(), nullable=False),
        sa.Column("in_force", postgresql.DATERANGE(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.column("clinic_id"), "="),
            (sa.column("program_id"), "="),
            (sa.column("in_force"), "&&"),
            using="gist",
            name="ex_program_versions_in_force",
        ),
        sa.CheckConstraint("number = 1 OR char_length(reason) >= 1", name=op.f("ck_program_versions_reason")),
        sa.CheckConstraint("number >= 1", name=op.f("ck_program_versions_number")),
        sa.CheckConstraint("pain_ceiling BETWEEN 0 AND 10", name=op.f("ck_program_versions_pain_ceiling")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "author_id"],
            ["therapists.clinic_id", "therapists.id"],
            name=op.f("fk_program_versions_clinic_id_author_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_program_versions_clinic_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "program_id"],
            ["programs.clinic_id", "programs.id"],
            name=op.f("fk_program_versions_clinic_id_program_id"),
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_program_versions_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_program_versions")),
        sa.UniqueConstraint(
            "clinic_id", "program_id", "number", name=op.f("uq_program_versions_clinic_id_program_id_number")
        ),
    )
    op.create_index("ix_program_versions_patient_id", "program_versions", ["clinic_id", "patient_id"], unique=False)
    op.create_table(
        "exercise_sessions",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("program_id", sa.Uuid(), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("local_date", sa.Date(), nullable=False),
        sa.Column("slot", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("performed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("device_zone", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("pain_before", sa.Integer(), nullable=True),
        sa.Column("pain_after", sa.Integer(), nullable=True),
        sa.Column("effort", sa.Integer(), nullable=True),
        sa.Column("new_neurological_symptom", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("items_prescribed", sa.Integer(), nullable=False),
        sa.Column("items_done", sa.Integer(), nullable=False),
        sa.Column("dose_prescribed", sa.Integer(), nullable=False),
        sa.Column("dose_done", sa.Integer(), nullable=False),
        sa.Column("body_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("supersedes_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("effort BETWEEN 0 AND 10", name=op.f("ck_exercise_sessions_effort")),
        sa.CheckConstraint("items_done BETWEEN 0 AND items_prescribed", name=op.f("ck_exercise_sessions_items")),
        sa.CheckConstraint("pain_after BETWEEN 0 AND 10", name=op.f("ck_exercise_sessions_pain_after")),
        sa.CheckConstraint("pain_before BETWEEN 0 AND 10", name=op.f("ck_exercise_sessions_pain_before")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_exercise_sessions_clinic_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "program_id"],
            ["programs.clinic_id", "programs.id"],
            name=op.f("fk_exercise_sessions_clinic_id_program_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "supersedes_id"],
            ["exercise_sessions.clinic_id", "exercise_sessions.id"],
            name=op.f("fk_exercise_sessions_clinic_id_supersedes_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "version_id"],
            ["program_versions.clinic_id", "program_versions.id"],
            name=op.f("fk_exercise_sessions_clinic_id_version_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_exercise_sessions")),
    )
    op.create_index(
        "ix_exercise_sessions_local_date", "exercise_sessions", ["clinic_id", "patient_id", "local_date"], unique=False
    )
    op.create_index(
        "ix_exercise_sessions_patient_id",
        "exercise_sessions",
        ["clinic_id", "patient_id", "performed_at", "id"],
        unique=False,
    )
    op.create_index(
        "uq_exercise_sessions_supersedes_id",
        "exercise_sessions",
        ["clinic_id", "supersedes_id"],
        unique=True,
        postgresql_where=sa.text("supersedes_id IS NOT NULL"),
    )
    op.create_table(
        "program_phases",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("weeks", sa.Integer(), nullable=True),
        sa.Column("entry_criteria", sa.Text(), server_default="", nullable=False),
        sa.Column("exit_criteria", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("position >= 1", name=op.f("ck_program_phases_position")),
        sa.CheckConstraint("weeks BETWEEN 1 AND 52", name=op.f("ck_program_phases_weeks")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "version_id"],
            ["program_versions.clinic_id", "program_versions.id"],
            name=op.f("fk_program_phases_clinic_id_version_id"),
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_program_phases_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_program_phases")),
        sa.UniqueConstraint(
            "clinic_id", "version_id", "position", name=op.f("uq_program_phases_clinic_id_version_id_position")
        ),
    )
    op.create_table(
        "program_items",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("phase_id", sa.Uuid(), nullable=False),
        sa.Column("exercise_id", sa.Uuid(), nullable=False),
        sa.Column("exercise_code", sa.Text(), nullable=False),
        sa.Column("exercise", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("sets", sa.Integer(), nullable=False),
        sa.Column("reps", sa.Integer(), nullable=True),
        sa.Column("hold_seconds", sa.Integer(), nullable=True),
        sa.Column("duration_seconds", sa.Integer(), nullable=True),
        sa.Column("load_kg", sa.Numeric(precision=5, scale=2), nullable=True),
        sa.Column("load_label", sa.Text(), nullable=True),
        sa.Column("tempo", sa.Text(), nullable=True),
        sa.Column("rest_seconds", sa.Integer(), nullable=True),
        sa.Column("side", sa.Text(), server_default="none", nullable=False),
        sa.Column("sessions_per_day", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("weekdays", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column("pain_ceiling", sa.Integer(), nullable=True),
        sa.Column("effort_ceiling", sa.Integer(), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("accepted_contraindications", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint("side IN ('none', 'left', 'right', 'both', 'each')", name=op.f("ck_program_items_side")),
        sa.CheckConstraint(
            "cardinality(weekdays) BETWEEN 1 AND 7 AND weekdays <@ ARRAY[1,2,3,4,5,6,7]",
            name=op.f("ck_program_items_weekdays"),
        ),
        sa.CheckConstraint("duration_seconds BETWEEN 1 AND 7200", name=op.f("ck_program_items_duration_seconds")),
        sa.CheckConstraint("effort_ceiling BETWEEN 0 AND 10", name=op.f("ck_program_items_effort_ceiling")),
        sa.CheckConstraint("hold_seconds BETWEEN 1 AND 600", name=op.f("ck_program_items_hold_seconds")),
        sa.CheckConstraint("load_kg BETWEEN 0 AND 300", name=op.f("ck_program_items_load_kg")),
        sa.CheckConstraint("pain_ceiling BETWEEN 0 AND 10", name=op.f("ck_program_items_pain_ceiling")),
        sa.CheckConstraint("reps BETWEEN 1 AND 100", name=op.f("ck_program_items_reps")),
        sa.CheckConstraint(
            "reps IS NOT NULL OR hold_seconds IS NOT NULL OR duration_seconds IS NOT NULL",
            name=op.f("ck_program_items_dose"),
        ),
        sa.CheckConstraint("rest_seconds BETWEEN 0 AND 600", name=op.f("ck_program_items_rest_seconds")),
        sa.CheckConstraint("sessions_per_day BETWEEN 1 AND 6", name=op.f("ck_program_items_sessions_per_day")),
        sa.CheckConstraint("sets BETWEEN 1 AND 10", name=op.f("ck_program_items_sets")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "exercise_id"],
            ["exercises.clinic_id", "exercises.id"],
            name=op.f("fk_program_items_clinic_id_exercise_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "phase_id"],
            ["program_phases.clinic_id", "program_phases.id"],
            name=op.f("fk_program_items_clinic_id_phase_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "version_id"],
            ["program_versions.clinic_id", "program_versions.id"],
            name=op.f("fk_program_items_clinic_id_version_id"),
        ),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_program_items_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_program_items")),
        sa.UniqueConstraint(
            "clinic_id", "phase_id", "position", name=op.f("uq_program_items_clinic_id_phase_id_position")
        ),
    )
    op.create_index("ix_program_items_version_id", "program_items", ["clinic_id", "version_id"], unique=False)
    op.create_table(
        "session_items",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.Column(
            "sets", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column("load_kg", sa.Numeric(precision=5, scale=2), nullable=True),
        sa.Column("dose_prescribed", sa.Integer(), nullable=False),
        sa.Column("dose_done", sa.Integer(), nullable=False),
        sa.Column("effort", sa.Integer(), nullable=True),
        sa.Column("pain_before", sa.Integer(), nullable=True),
        sa.Column("pain_during", sa.Integer(), nullable=True),
        sa.Column("pain_after", sa.Integer(), nullable=True),
        sa.Column("skip_reason", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("prescribed", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.CheckConstraint(
            "skip_reason IN ('pain', 'too_hard', 'no_time', 'forgot', 'bored', 'not_sure_how', 'no_equipment', 'ill', 'other')",
            name=op.f("ck_session_items_skip_reason"),
        ),
        sa.CheckConstraint("effort BETWEEN 0 AND 10", name=op.f("ck_session_items_effort")),
        sa.CheckConstraint("pain_after BETWEEN 0 AND 10", name=op.f("ck_session_items_pain_after")),
        sa.CheckConstraint("pain_before BETWEEN 0 AND 10", name=op.f("ck_session_items_pain_before")),
        sa.CheckConstraint("pain_during BETWEEN 0 AND 10", name=op.f("ck_session_items_pain_during")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "item_id"],
            ["program_items.clinic_id", "program_items.id"],
            name=op.f("fk_session_items_clinic_id_item_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "session_id"],
            ["exercise_sessions.clinic_id", "exercise_sessions.id"],
            name=op.f("fk_session_items_clinic_id_session_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "session_id", "item_id", name=op.f("pk_session_items")),
    )
    op.create_index("ix_session_items_item_id", "session_items", ["clinic_id", "item_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_session_items_item_id", table_name="session_items")
    op.drop_table("session_items")
    op.drop_index("ix_program_items_version_id", table_name="program_items")
    op.drop_table("program_items")
    op.drop_table("program_phases")
    op.drop_index(
        "uq_exercise_sessions_supersedes_id",
        table_name="exercise_sessions",
        postgresql_where=sa.text("supersedes_id IS NOT NULL"),
    )
    op.drop_index("ix_exercise_sessions_patient_id", table_name="exercise_sessions")
    op.drop_index("ix_exercise_sessions_local_date", table_name="exercise_sessions")
    op.drop_table("exercise_sessions")
    op.drop_index("ix_program_versions_patient_id", table_name="program_versions")
    op.drop_table("program_versions")
    op.drop_table("program_pauses")
    op.drop_index("ix_check_in_answers_patient_id", table_name="check_in_answers", postgresql_include=["pain_now"])
    op.drop_table("check_in_answers")
    op.drop_index(
        "uq_programs_in_use",
        table_name="programs",
        postgresql_where=sa.text("status IN ('active', 'paused', 'suspended_red_flag')"),
    )
    op.drop_index("ix_programs_patient_id", table_name="programs")
    op.drop_table("programs")
    op.drop_index("ix_check_ins_patient_id", table_name="check_ins")
    op.drop_index("ix_check_ins_opening", table_name="check_ins", postgresql_where=sa.text("status = 'due'"))
    op.drop_index("ix_check_ins_closing", table_name="check_ins", postgresql_where=sa.text("status IN ('due', 'open')"))
    op.drop_table("check_ins")
    op.drop_index("ix_alert_events_alert_id", table_name="alert_events")
    op.drop_table("alert_events")
    op.drop_index("ix_reports_episode_id", table_name="reports")
    op.drop_table("reports")
    op.drop_index("ix_red_flag_screens_patient_id", table_name="red_flag_screens")
    op.drop_table("red_flag_screens")
    op.drop_index("uq_outcomes_supersedes_id", table_name="outcomes")
    op.drop_index("ix_outcomes_patient_id", table_name="outcomes")
    op.drop_index("ix_outcomes_episode_id", table_name="outcomes")
    op.drop_table("outcomes")
    op.drop_index("ix_license_verifications_license_id", table_name="license_verifications")
    op.drop_table("license_verifications")
    op.drop_index("ix_goals_episode_id", table_name="goals")
    op.drop_table("goals")
    op.drop_index("ix_check_in_plans_episode_id", table_name="check_in_plans")
    op.drop_index("ix_check_in_plans_due", table_name="check_in_plans", postgresql_where=sa.text("status = 'active'"))
    op.drop_index(
        "ix_check_in_plans_after_session",
        table_name="check_in_plans",
        postgresql_where=sa.text("frequency = 'after_session'"),
    )
    op.drop_table("check_in_plans")
    op.drop_index("ix_assessments_episode_id", table_name="assessments")
    op.drop_table("assessments")
    op.drop_index("uq_alerts_unresolved", table_name="alerts", postgresql_where=sa.text("status <> 'resolved'"))
    op.drop_index("ix_alerts_respond_by", table_name="alerts", postgresql_where=sa.text("status <> 'resolved'"))
    op.drop_index("ix_alerts_patient_id", table_name="alerts")
    op.drop_table("alerts")
    op.drop_index("ix_patient_locations_patient_id", table_name="patient_locations")
    op.drop_table("patient_locations")
    op.drop_index(
        "ix_notifications_due", table_name="notifications", postgresql_where=sa.text("status IN ('owed', 'failed')")
    )
    op.drop_table("notifications")
    op.drop_index("ix_licenses_therapist_id", table_name="licenses")
    op.drop_table("licenses")
    op.drop_index("uq_sign_ins_access_hash", table_name="sign_ins", schema="identity")
    op.drop_index("ix_sign_ins_account_id", table_name="sign_ins", schema="identity")
    op.drop_table("sign_ins", schema="identity")
    op.drop_index("uq_exercises_code", table_name="exercises")
    op.drop_index("ix_exercises_region", table_name="exercises")
    op.drop_index("ix_exercises_name", table_name="exercises")
    op.drop_table("exercises")
    op.drop_index("ix_episodes_patient_id", table_name="episodes")
    op.drop_table("episodes")
    op.drop_index("uq_consents_given", table_name="consents", postgresql_where=sa.text("status = 'given'"))
    op.drop_index("ix_consents_patient_id", table_name="consents")
    op.drop_table("consents")
    op.drop_index("ix_care_links_therapist_id", table_name="care_links")
    op.drop_table("care_links")
    op.drop_table("therapists")
    op.drop_index("ix_patients_family_name", table_name="patients")
    op.drop_index("ix_patients_account_id", table_name="patients")
    op.drop_table("patients")
    op.drop_index("ix_invitations_subject_id", table_name="invitations")
    op.drop_table("invitations")
    op.drop_index("uq_memberships_subject", table_name="memberships", schema="identity")
    op.drop_table("memberships", schema="identity")
    op.drop_index("ix_idempotency_keys_created_at", table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_index("ix_job_runs_job", table_name="job_runs")
    op.drop_table("job_runs")
    op.drop_table("throttles", schema="identity")
    op.drop_table("accounts", schema="identity")
    op.drop_table("clinics")
    op.drop_index("ix_audit_events_xid", table_name="audit_events")
    op.drop_index("ix_audit_events_patient_id", table_name="audit_events")
    op.drop_table("audit_events")
