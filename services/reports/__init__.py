"""Reports: built and frozen at once, told in the therapist's words, signed once."""

from services.reports.building import build
from services.reports.writing import (
    ReportIncomplete,
    ReportPeriodRefused,
    ReportSigned,
    create,
    get,
    printed,
    sign,
    update,
)

__all__ = [
    "ReportIncomplete",
    "ReportPeriodRefused",
    "ReportSigned",
    "build",
    "create",
    "get",
    "printed",
    "sign",
    "update",
]
