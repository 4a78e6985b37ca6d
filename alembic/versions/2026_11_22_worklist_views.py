"""Filters of the worklist that a therapist keeps under a name; what is kept for convenience may be removed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

BOUND = "nullif(current_setting('app.clinic_id', true), '')::uuid"


def upgrade() -> None:
    op.create_table(
        "worklist_views",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("therapist_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("filters", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("char_length(name) BETWEEN 1 AND 60", name=op.f("ck_worklist_views_name")),
        sa.CheckConstraint("jsonb_typeof(filters) = 'object'", name=op.f("ck_worklist_views_filters")),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_worklist_views_clinic_id")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "therapist_id"],
            ["therapists.clinic_id", "therapists.id"],
            name=op.f("fk_worklist_views_clinic_id_therapist_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_worklist_views")),
        sa.UniqueConstraint("clinic_id", "therapist_id", "name", name=op.f("uq_worklist_views_name")),
    )
    op.execute("ALTER TABLE worklist_views ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE worklist_views FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY clinic ON worklist_views TO physio_api, physio_worker"
        f" USING (clinic_id = {BOUND}) WITH CHECK (clinic_id = {BOUND})"
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON worklist_views TO physio_api, physio_worker")


def downgrade() -> None:
    op.drop_table("worklist_views")
