"""The notebook of the examples: as its script, and run by a real kernel."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"


@pytest.mark.process  # jupytext looks for other programs
def test_the_notebook_is_what_jupytext_makes_of_the_script_without_outputs():
    pytest.importorskip("jupytext", reason="pairs script and notebook: pip install jupytext")
    path = ROOT / "tools" / "quickstart_notebook.py"
    spec = importlib.util.spec_from_file_location("quickstart_notebook", path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    same = NOTEBOOK.read_text() == tool.notebook_text()
    assert same, "run python tools/quickstart_notebook.py"


@pytest.mark.slow
@pytest.mark.process
def test_the_notebook_runs_in_a_kernel(tmp_path, monkeypatch):
    pytest.importorskip("ipykernel", reason="needs a notebook's kernel: pip install ipykernel")
    client = pytest.importorskip("nbclient", reason="runs a notebook: pip install nbclient")
    nbformat = pytest.importorskip("nbformat")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # of the films
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    outputs = [one for cell in notebook.cells for one in cell.get("outputs", [])]
    text = "".join(one.text for one in outputs if one.output_type == "stream")
    assert "60 films to train on" in text
    assert "the round has 5 cases" in text
    assert "5 films corrected" in text
    shown = [one.data for one in outputs if one.output_type == "execute_result"]
    assert "image/png" in shown[0]
    assert "Round after epoch 2: 5 cases, applied" in shown[1]["text/html"]
    assert shown[1]["text/html"].count("data:image/jpeg") == 2
