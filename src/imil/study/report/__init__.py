"""The report of a study: one self-contained HTML page, tables and figures."""

from imil.study.report.write import write_report

__all__ = ["write_report"]
