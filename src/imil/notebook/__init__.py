"""IMIL in a notebook: the reading room in a frame, runs as figures and tables, one progress bar."""

from imil.notebook.reading_frame import Notebook
from imil.notebook.run_view import RunView

__all__ = ["Notebook", "RunView"]
