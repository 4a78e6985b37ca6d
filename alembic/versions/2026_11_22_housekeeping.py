"""What is kept for a time only may be removed: answers kept under keys after 30 days, and old runs of jobs."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE POLICY kept_for_its_time ON idempotency_keys AS RESTRICTIVE FOR DELETE TO physio_api, physio_worker"
        " USING (created_at < now() - interval '30 days')"
    )
    op.execute("GRANT DELETE ON idempotency_keys TO physio_api, physio_worker")
    op.execute("GRANT DELETE ON job_runs TO physio_api, physio_worker, physio_sweeper")


def downgrade() -> None:
    op.execute("REVOKE DELETE ON job_runs FROM physio_api, physio_worker, physio_sweeper")
    op.execute("REVOKE DELETE ON idempotency_keys FROM physio_api, physio_worker")
    op.execute("DROP POLICY kept_for_its_time ON idempotency_keys")
