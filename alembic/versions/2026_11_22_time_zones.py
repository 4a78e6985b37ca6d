"""Local time by our own table of zone rules, not by the tz files of whatever PostgreSQL this is.

`alembic/env.py` writes the rows in the transaction of this revision, and again whenever the program brings newer rules.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ZONED = ("clinics", "patients", "check_in_plans")

BEFORE = """
CREATE OR REPLACE FUNCTION local_instant(day date, wall time, zone text) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE
  WHEN ((((((day + wall) - interval '1 day') AT TIME ZONE zone) AT TIME ZONE 'UTC') + interval '1 day')
        AT TIME ZONE 'UTC') AT TIME ZONE zone = day + wall
  THEN (((((day + wall) - interval '1 day') AT TIME ZONE zone) AT TIME ZONE 'UTC') + interval '1 day')
       AT TIME ZONE 'UTC'
  ELSE (day + wall) AT TIME ZONE zone
END
"""


def upgrade() -> None:
    op.create_table(
        "time_zones",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("release", sa.Text(), nullable=False),
        sa.Column("changes", postgresql.ARRAY(sa.DateTime(timezone=True)), nullable=False),
        sa.Column("walls", postgresql.ARRAY(sa.DateTime()), nullable=False),
        sa.Column("offsets", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_time_zones")),
    )
    # Looked up for every row of a sweep: never compressed. The longest row has 4 of the 8 kB that a page has room for.
    for column in ("changes", "walls", "offsets"):
        op.execute(f"ALTER TABLE time_zones ALTER COLUMN {column} SET STORAGE PLAIN")
    op.execute("GRANT SELECT ON time_zones TO physio_api, physio_worker, physio_sweeper")
    for table in ZONED:
        op.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT fk_{table}_zone FOREIGN KEY (zone) REFERENCES time_zones (name)"
            " NOT VALID"
        )

    # Two that only calculate: PostgreSQL puts them in line, and a sharded database may push them down.
    op.execute(
        """
        CREATE FUNCTION wall_instant(wall timestamp, walls timestamp[], offsets integer[]) RETURNS timestamptz
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN (wall - offsets[1 + width_bucket(wall, walls)] * interval '1 second') AT TIME ZONE 'UTC'
        """
    )
    op.execute(
        """
        CREATE FUNCTION wall_time(at timestamptz, changes timestamptz[], offsets integer[]) RETURNS timestamp
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN (at AT TIME ZONE 'UTC') + offsets[1 + width_bucket(at, changes)] * interval '1 second'
        """
    )
    # And two that look the zone up, for a single row.
    op.execute(
        """
        CREATE OR REPLACE FUNCTION local_instant(day date, wall time, zone text) RETURNS timestamptz
        LANGUAGE sql STABLE STRICT PARALLEL SAFE
        RETURN (SELECT wall_instant(day + wall, z.walls, z.offsets) FROM time_zones z WHERE z.name = zone)
        """
    )
    op.execute(
        """
        CREATE FUNCTION local_day(at timestamptz, zone text) RETURNS date
        LANGUAGE sql STABLE STRICT PARALLEL SAFE
        RETURN (SELECT wall_time(at, z.changes, z.offsets)::date FROM time_zones z WHERE z.name = zone)
        """
    )


def downgrade() -> None:
    op.execute("DROP FUNCTION local_day(timestamptz, text)")
    op.execute(BEFORE)
    op.execute("DROP FUNCTION wall_time(timestamptz, timestamptz[], integer[])")
    op.execute("DROP FUNCTION wall_instant(timestamp, timestamp[], integer[])")
    for table in ZONED:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT fk_{table}_zone")
    op.drop_table("time_zones")
