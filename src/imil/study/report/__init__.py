"""The report of a study: one page that stands by itself, and the tables beside it."""

from imil.study.report.write import write_report

__all__ = ["write_report"]
