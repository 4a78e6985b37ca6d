"""Documents that a clinic sends, and pictures of charts: drawn aside, in a process of their own (see `drawing`)."""

from services.documents.drawing import Form, Paper, UnprintableDocumentError, chart, close, progress_report

__all__ = ["Form", "Paper", "UnprintableDocumentError", "chart", "close", "progress_report"]
