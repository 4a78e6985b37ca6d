"""Licensed instruments that a clinic has filled in, with who accepted which terms."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

BOUND = "nullif(current_setting('app.clinic_id', true), '')::uuid"
CHECKS = {
    "number": "number >= 1",
    "filled": "(content IS NULL) = (terms_version IS NULL)",
    "terms_version": "char_length(terms_version) BETWEEN 1 AND 80",
    "note": "char_length(note) <= 500",
}


def upgrade() -> None:
    op.create_table(
        "instrument_imports",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content", postgresql.JSONB(), nullable=True),
        sa.Column("terms_version", sa.Text(), nullable=True),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Uuid(), nullable=False),
        *(sa.CheckConstraint(rule, name=op.f(f"ck_instrument_imports_{name}")) for name, rule in CHECKS.items()),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_instrument_imports_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_instrument_imports")),
        sa.UniqueConstraint("clinic_id", "code", "number", name=op.f("uq_instrument_imports_clinic_id_code_number")),
    )
    op.execute("ALTER TABLE instrument_imports ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE instrument_imports FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY clinic ON instrument_imports TO physio_api, physio_worker"
        f" USING (clinic_id = {BOUND}) WITH CHECK (clinic_id = {BOUND})"
    )
    op.execute("GRANT SELECT, INSERT ON instrument_imports TO physio_api, physio_worker")


def downgrade() -> None:
    op.drop_table("instrument_imports")
