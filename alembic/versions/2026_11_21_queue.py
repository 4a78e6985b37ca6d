"""The queue: Procrastinate's own tables and functions, in a schema of their own."""

from alembic import context, op
from procrastinate.schema import SchemaManager
from sqlalchemy.util import await_only

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE SCHEMA procrastinate")
    op.execute("SET LOCAL search_path = procrastinate, public")
    script = SchemaManager.get_schema()
    if context.is_offline_mode():
        op.execute(script)
    else:  # a script of many statements cannot be prepared: hand it to the driver as it is
        connection = op.get_bind().connection.driver_connection
        assert connection is not None
        await_only(connection.execute(script))
    # Its functions name their tables without a schema: tell each where to look, whoever calls.
    op.execute(
        """
        DO $$ DECLARE f regprocedure; BEGIN
          FOR f IN SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'procrastinate'::regnamespace LOOP
            EXECUTE format('ALTER FUNCTION %s SET search_path = procrastinate, pg_temp', f);
          END LOOP;
        END $$
        """
    )
    op.execute("SET LOCAL search_path = public")
    for role in ("physio_api", "physio_worker"):
        op.execute(f"GRANT USAGE ON SCHEMA procrastinate TO {role}")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA procrastinate TO physio_worker")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA procrastinate TO physio_worker, physio_api")
    op.execute("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA procrastinate TO physio_api")


def downgrade() -> None:
    op.execute("DROP SCHEMA procrastinate CASCADE")
