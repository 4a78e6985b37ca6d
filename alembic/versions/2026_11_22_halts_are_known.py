"""Every program that the system has paused is a paused one; checked beside running requests."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE programs VALIDATE CONSTRAINT ck_programs_halted")


def downgrade() -> None:
    pass
