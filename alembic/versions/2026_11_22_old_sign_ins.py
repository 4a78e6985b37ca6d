"""Sign-ins that ended long ago may be removed."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("GRANT DELETE ON identity.sign_ins TO physio_identity")


def downgrade() -> None:
    op.execute("REVOKE DELETE ON identity.sign_ins FROM physio_identity")
