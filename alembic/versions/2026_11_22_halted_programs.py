"""What a program was paused for by the system: the code of what is missing."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("programs", sa.Column("halted_by", sa.Text(), nullable=True))
    op.execute(
        "ALTER TABLE programs ADD CONSTRAINT ck_programs_halted"
        " CHECK (halted_by IS NULL OR status = 'paused') NOT VALID"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_programs_halted"), "programs", type_="check")
    op.drop_column("programs", "halted_by")
