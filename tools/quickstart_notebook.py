"""Write examples/quickstart.ipynb from the script examples/quickstart.py, without outputs.

Jupytext gives every cell a random name; here a cell is named by its place, so that the same script
gives the same file.
"""

from pathlib import Path

import jupytext

SCRIPT = Path(__file__).resolve().parent.parent / "examples" / "quickstart.py"
NOTEBOOK = SCRIPT.with_suffix(".ipynb")


def notebook_text():
    """The notebook as the file has it."""
    notebook = jupytext.read(SCRIPT, fmt="py:percent")
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]} | {
        "jupytext": {"formats": "ipynb,py:percent"}
    }
    for number, cell in enumerate(notebook.cells, start=1):
        cell["id"] = f"cell-{number}"
    return jupytext.writes(notebook, fmt="ipynb") + "\n"


if __name__ == "__main__":
    NOTEBOOK.write_text(notebook_text())
