"""One row per note on a red flag, never changed.

Notes that were written before stand in `red_flag_screens.outcome_note`, which nobody may change any more.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BOUND = "nullif(current_setting('app.clinic_id', true), '')::uuid"


def upgrade() -> None:
    op.create_table(
        "red_flag_notes",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("screen_id", sa.Uuid(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Uuid(), nullable=False),
        sa.CheckConstraint("char_length(note) BETWEEN 1 AND 2000", name=op.f("ck_red_flag_notes_note")),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_red_flag_notes_clinic_id")),
        sa.ForeignKeyConstraint(
            ["clinic_id", "screen_id"],
            ["red_flag_screens.clinic_id", "red_flag_screens.id"],
            name=op.f("fk_red_flag_notes_clinic_id_screen_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_red_flag_notes")),
    )
    op.create_index("ix_red_flag_notes_screen_id", "red_flag_notes", ["clinic_id", "screen_id", "at"])
    op.execute("ALTER TABLE red_flag_notes ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE red_flag_notes FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY clinic ON red_flag_notes TO physio_api, physio_worker"
        f" USING (clinic_id = {BOUND}) WITH CHECK (clinic_id = {BOUND})"
    )
    op.execute("GRANT SELECT, INSERT ON red_flag_notes TO physio_api, physio_worker")
    op.execute("REVOKE UPDATE (outcome_note) ON red_flag_screens FROM physio_api, physio_worker")


def downgrade() -> None:
    op.execute("GRANT UPDATE (outcome_note) ON red_flag_screens TO physio_api, physio_worker")
    op.drop_table("red_flag_notes")
