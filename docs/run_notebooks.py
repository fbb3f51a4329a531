"""Runs notebooks and keeps what they show: `python docs/run_notebooks.py [NOTEBOOK ...]`, or all of them."""

import base64
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import plotly.graph_objects as go
import plotly.io as pio
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
PLOTLY, WIDGET = "application/vnd.plotly.v1+json", "application/vnd.jupyter.widget-view+json"
WIDTH = 900  # pixels of an image: JupyterLab shows it in this size until the pointer is over it


def run(notebook: nbformat.NotebookNode, folder: str | Path, **options: object) -> None:
    """Run a notebook from top to bottom in a fresh kernel that works in a folder; its outputs are replaced."""
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(
        notebook, kernel_name="python3", timeout=900, resources=resources, record_timing=False, **options
    ).execute()


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Return the cells of code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def add_images(notebook: nbformat.NotebookNode) -> None:
    """Put an image with an alternative text beside each plot, and take widgets out, which only a kernel can show."""
    for cell in code_cells(notebook):
        cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
    notebook.metadata.pop("widgets", None)
    drawn = [output for cell in code_cells(notebook) for output in cell.outputs if PLOTLY in output.get("data", {})]
    figures = [go.Figure(output["data"][PLOTLY]["data"], output["data"][PLOTLY]["layout"]) for output in drawn]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"{number}.png") for number in range(len(figures))]
        pio.write_images(figures, files, width=WIDTH)
        for output, figure, file in zip(drawn, figures, files, strict=True):
            output["data"]["image/png"] = base64.b64encode(file.read_bytes()).decode()
            output["metadata"]["image/png"] = {"alt": figure.layout.title.text.replace("<br>", " ")}


def main(names: list[str]) -> None:
    """Run the notebooks of these names, or all."""
    for path in [Path(name) for name in names] or sorted(FOLDER.glob("*.ipynb")):
        notebook, start = nbformat.read(path, as_version=4), time.monotonic()
        run(notebook, path.parent)
        add_images(notebook)
        nbformat.write(notebook, path)
        print(f"{path.name}: {time.monotonic() - start:.0f} s, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
