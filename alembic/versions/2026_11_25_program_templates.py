"""Programs to begin from: a clinic's, or a therapist's own."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

BOUND = "nullif(current_setting('app.clinic_id', true), '')::uuid"


def upgrade() -> None:
    op.create_table(
        "program_templates",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("scope", sa.String(40), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), server_default="", nullable=False),
        sa.Column("content", postgresql.JSONB(), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("scope IN ('clinic', 'own')", name=op.f("ck_program_templates_scope")),
        sa.CheckConstraint("(scope = 'own') = (owner_id IS NOT NULL)", name=op.f("ck_program_templates_owner")),
        sa.CheckConstraint("char_length(name) BETWEEN 1 AND 200", name=op.f("ck_program_templates_name")),
        sa.CheckConstraint("jsonb_typeof(content) = 'object'", name=op.f("ck_program_templates_content")),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_program_templates_clinic_id")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "owner_id"],
            ["therapists.clinic_id", "therapists.id"],
            name=op.f("fk_program_templates_clinic_id_owner_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_program_templates")),
    )
    op.create_index("ix_program_templates_name", "program_templates", ["clinic_id", "name", "id"])
    op.execute("ALTER TABLE program_templates ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE program_templates FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY clinic ON program_templates TO physio_api, physio_worker"
        f" USING (clinic_id = {BOUND}) WITH CHECK (clinic_id = {BOUND})"
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON program_templates TO physio_api, physio_worker")


def downgrade() -> None:
    op.drop_table("program_templates")
