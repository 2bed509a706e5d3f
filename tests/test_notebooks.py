"""Every notebook runs as a reader runs it, from top to bottom, and what it shows on record is clean."""

import ast
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
LEAST_ACCURACY = {"first_network": 0.97}
"""What the variable `accuracy` must reach at the end, for each notebook."""

LARGEST_BYTES = 1_000_000
"""GitHub shows a notebook up to about this size."""

PATHS_AND_NOISE = r"/(root|home|Users|tmp|usr|opt|work|content)/|site-packages|Warning|Traceback|\d+%\|"
FACE = {"jaxconv", "jaxconv.functional", "jaxconv.functional.augment", "jaxconv.explain"}
OTHERS = {"jax", "numpy", "matplotlib"}

names = pytest.mark.parametrize("name", sorted(LEAST_ACCURACY))


def read(name: str) -> nbformat.NotebookNode:
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    return notebook


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_every_notebook_is_known_here():
    assert sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")) == sorted(LEAST_ACCURACY)


@pytest.mark.slow
@names
def test_notebook_runs_and_learns(name, tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    notebook = read(name)
    notebook.cells.append(nbformat.v4.new_code_cell("import sys\nsys.executable, float(accuracy)"))
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}})
    client.execute()
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    assert sum("image/png" in output.get("data", {}) for output in outputs) > 0
    executable, accuracy = ast.literal_eval(outputs[-1].data["text/plain"])
    assert executable == sys.executable
    assert accuracy >= LEAST_ACCURACY[name]


@names
def test_outputs_on_record_are_whole_and_clean(name):
    cells = code_cells(read(name))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for output in (output for cell in cells for output in cell.outputs):
        assert output.output_type != "error" and output.get("name") != "stderr"
        texts = [output.get("text", ""), *(t for kind, t in output.get("data", {}).items() if kind.startswith("text/"))]
        assert not [text for text in texts if re.search(PATHS_AND_NOISE, text)]
    assert (NOTEBOOKS / f"{name}.ipynb").stat().st_size < LARGEST_BYTES


@names
def test_notebook_uses_the_face(name):
    source = "\n".join(cell.source for cell in code_cells(read(name)))
    tree = ast.parse(re.sub(r"^(\s*)%.*$", r"\1pass", source, flags=re.MULTILINE))
    for node in ast.walk(tree):
        modules = [a.name for a in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", None)]
        for module in filter(None, modules):
            first = module.split(".")[0]
            assert module in FACE or first in OTHERS or first in sys.stdlib_module_names, f"{name} imports {module}"
