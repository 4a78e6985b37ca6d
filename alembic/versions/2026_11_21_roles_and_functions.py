"""Schemas and the functions that other revisions lean on.

The roles themselves belong to the cluster: `physio db roles` (or the embedded server) makes them before this runs.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE SCHEMA identity")
    op.execute("GRANT USAGE ON SCHEMA public TO physio_api, physio_worker, physio_sweeper, physio_identity")
    op.execute("GRANT USAGE ON SCHEMA identity TO physio_identity")
    # The instant of a wall time on a local date. A skipped time moves forward by the gap, as PostgreSQL does by itself;
    # of a repeated time the first one counts, where PostgreSQL would take the second: so try yesterday's offset first.
    # Immutable arithmetic only (timestamptz + interval is not), so that Citus accepts it inside an UPDATE.
    op.execute(
        """
        CREATE FUNCTION local_instant(day date, wall time, zone text) RETURNS timestamptz
        LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
        RETURN CASE
          WHEN ((((((day + wall) - interval '1 day') AT TIME ZONE zone) AT TIME ZONE 'UTC') + interval '1 day')
                AT TIME ZONE 'UTC') AT TIME ZONE zone = day + wall
          THEN (((((day + wall) - interval '1 day') AT TIME ZONE zone) AT TIME ZONE 'UTC') + interval '1 day')
               AT TIME ZONE 'UTC'
          ELSE (day + wall) AT TIME ZONE zone
        END
        """
    )


def downgrade() -> None:
    op.execute("DROP FUNCTION local_instant(date, time, text)")
    op.execute("DROP SCHEMA identity")
    op.execute("REVOKE USAGE ON SCHEMA public FROM physio_api, physio_worker, physio_sweeper, physio_identity")
