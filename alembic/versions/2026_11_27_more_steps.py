"""A goal of a hundred thousand steps has room; the sweeper sees whom nobody can remind of an instrument."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

WIDER = (("goals", "baseline"), ("goals", "target"), ("milestones", "target"))
# Ids, codes and times: still nothing clinical.
SEEN = {
    "instrument_plans": "patient_id, episode_id, instrument_code",
    "patients": "updated_at",
    "episodes": "updated_at",
}


def upgrade() -> None:
    for table, column in WIDER:  # more digits in front: no row is written anew
        op.alter_column(table, column, type_=sa.Numeric(8, 2), existing_type=sa.Numeric(7, 2))
    for table, columns in SEEN.items():
        op.execute(f"GRANT SELECT ({columns}) ON {table} TO physio_sweeper")


def downgrade() -> None:
    for table, columns in SEEN.items():
        op.execute(f"REVOKE SELECT ({columns}) ON {table} FROM physio_sweeper")
    for table, column in reversed(WIDER):
        op.alter_column(table, column, type_=sa.Numeric(7, 2), existing_type=sa.Numeric(8, 2))
