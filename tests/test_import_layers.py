"""Layers of the package: imports only go down, and the lower layers need no framework."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import imil

PACKAGE = Path(imil.__file__).parent

# a module imports from layers below its own, never from its own; docs/ARCHITECTURE.md
LAYERS = {
    **dict.fromkeys(
        ["errors", "output_text", "permissions", "preemption", "safe_path", "threads"], 0
    ),
    "html_templates": 0.1,
    # layer 0 as well, but these may raise
    **dict.fromkeys(
        ["geometry", "grid", "atomic_files", "json_files", "predictions", "round_options"], 0.5
    ),
    **dict.fromkeys(["reader_names", "store_address", "durations", "library_versions"], 0.5),
    "run_store": 0.7,
    "heat_map_names": 0.6,  # reads and writes JSON
    **dict.fromkeys(
        ["run_folder", "square_text", "reader_panel", "staple", "agreement_coefficients"], 0.6
    ),
    **dict.fromkeys(["cases", "outliers", "fills", "out_of_fold", "shown_grids"], 1),
    **dict.fromkeys(["asked_cases", "fusion", "assignment"], 1.1),
    "merging": 1.15,
    "disputes": 1.2,
    "choices": 1.2,  # of cases, beyond the paper's
    **dict.fromkeys(["agreement", "phantom"], 1.5),  # of readings, so it knows cases
    **dict.fromkeys(["images", "store"], 2),
    "round_numbers": 2.5,
    **dict.fromkeys(["data", "reading_export", "round_agreement", "suspects"], 2.5),
    "exports": 2.7,  # of readings, for other tools
    "rounds": 3,
    "round_schedule": 3.1,
    "treatments": 3.5,  # PyTorch, and nothing of a model
    **dict.fromkeys(["readers", "web"], 4),
    "notebook": 4.1,  # shows the room, and waits for it with a reader
    **dict.fromkeys(["pytorch", "keras"], 4.2),
    # settings know readers
    **dict.fromkeys(["lightning", "huggingface", "skorch", "fastai", "ignite"], 4.5),
    **dict.fromkeys(["count_bar", "metrics", "settings", "terminal_console"], 4.5),
    "round_settings": 4.6,
    **dict.fromkeys(["agreement_tables", "erasure", "round_tables", "study_copies"], 4.6),
    "store_claim": 4.65,
    "parking": 4.7,
    "training": 5,
    "installation": 5.2,  # asks training which device it would take
    "study": 5.5,  # many trainings, compared
    "cli": 6,
    "__main__": 7,  # python -m imil
}
# the callbacks of frameworks on PyTorch are above these, but may not import them
ON_PYTORCH = ("lightning", "huggingface", "skorch", "fastai", "ignite")
FORBIDDEN = {(one, other) for one in ON_PYTORCH for other in ("readers", "keras", "web")}
FORBIDDEN |= {(one, other) for one in ("pytorch", "keras") for other in ("readers", "web")}
BELOW_THE_FRAMEWORKS = [name for name, layer in LAYERS.items() if layer <= 3.1]

HEAVY = {
    *("torch", "torchvision", "lightning", "pytorch_lightning", "keras", "tensorflow", "jax"),
    *("transformers", "accelerate", "skorch", "fastai", "sklearn", "ignite", "monai"),
    *("matplotlib", "pandas", "pyarrow", "fastapi", "starlette", "uvicorn", "typer"),
}


def module_parts(path):
    """`src/imil/store/rows.py` as ["imil", "store", "rows"]."""
    parts = ["imil", *path.relative_to(PACKAGE).with_suffix("").parts]
    return parts[:-1] if parts[-1] == "__init__" else parts


def imported(tree):
    """Dotted names that the file imports, wherever in the file; `from a import b` is a.b."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                assert level == 0, f"line {node.lineno}: relative imports hide the layer"
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.Call(
                func=ast.Name(id="import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name


def import_errors(importer, source):
    """What is wrong with the imports of a file that belongs to the module `importer`."""
    for name in imported(ast.parse(source)):
        root, *rest = name.split(".")
        if root != "imil" or rest[:1] in (["__version__"], [importer]):
            continue
        target = rest[0] if rest else ""
        if target not in LAYERS:
            yield f"{name}: name the module it comes from (`__version__` alone comes from imil)"
        elif LAYERS[target] >= LAYERS[importer] or (importer, target) in FORBIDDEN:
            yield f"{name}: {target} (layer {LAYERS[target]}) is not below {importer}"


def heavy_packages_after(statement):
    """Heavy packages that a fresh Python has loaded after the statement."""
    code = f"{statement}; import sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert fresh.returncode == 0, fresh.stderr
    return HEAVY & set(fresh.stdout.split())


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: ".".join(module_parts(path)[1:]))
def test_imports_only_go_down(path):
    importer = module_parts(path)[1]
    assert importer in LAYERS, f"{importer} has no layer yet: give it one in this test"
    assert list(import_errors(importer, path.read_text())) == []


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("grid", "from imil.cases import Case"),
        ("outliers", "import imil.cases"),
        ("rounds", "def f():\n    from imil.pytorch.model import TorchModel"),
        ("web", "from imil import readers"),
        ("keras", "import imil.pytorch as p"),
        ("lightning", "from imil.web.app import app"),
        ("store", "importlib.import_module('imil.rounds')"),
        ("training", "from imil.study.plan import Plan"),
        ("cli", "from imil import Grid"),
    ],
)
def test_an_import_that_does_not_go_down_is_found(importer, source):
    assert len(list(import_errors(importer, source))) == 1


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("lightning", "from imil.pytorch import Corrections"),
        ("store", "from imil.store import schema; from imil import cases, __version__"),
        ("cli", "from imil.training.loop import train; import imil.web"),
        ("study", "from imil.data.table import read_data"),
        ("readers", "import torch"),
    ],
)
def test_an_import_that_goes_down_is_accepted(importer, source):
    assert list(import_errors(importer, source)) == []


def test_importing_the_package_loads_nothing_heavy():
    assert heavy_packages_after("import imil") == set()


def test_everything_below_the_treatments_works_without_a_framework():
    names = [
        n for n in BELOW_THE_FRAMEWORKS if list(PACKAGE.glob(f"{n}.py")) or (PACKAGE / n).is_dir()
    ]
    assert (
        heavy_packages_after("import imil; " + "; ".join(f"import imil.{n}" for n in names))
        == set()
    )


def test_what_the_operator_of_a_reading_room_runs_needs_no_framework():
    names = ("agreement_tables", "round_tables", "erasure.commands", "study_copies")
    names += ("store.copy_commands", "web.serve_commands", "cli.main")
    lines = "; ".join(f"import imil.{name}" for name in names)
    loaded = heavy_packages_after(lines)
    assert loaded <= {"fastapi", "starlette", "uvicorn", "typer"}
