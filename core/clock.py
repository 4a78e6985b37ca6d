"""The only place that asks what time it is; only doors (api, jobs, cli) may."""

from datetime import UTC, datetime


def now() -> datetime:
    """Give this moment, in UTC."""
    return datetime.now(UTC)
