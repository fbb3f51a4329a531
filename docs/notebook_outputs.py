"""What the site shows of a notebook's outputs: pictures with their alt texts, and no widgets that need a kernel."""

from typing import Any

import nbformat

WIDGET = "application/vnd.jupyter.widget-view+json"
PLOTLY = "application/vnd.plotly.v1+json"


def read_notebook(text: str) -> nbformat.NotebookNode:
    """Read a notebook, with each output as a page without a kernel can show it."""
    notebook = nbformat.reads(text, as_version=4)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "data" in output:
                output.data = shown(output.data)
                describe(cell, output.get("metadata", {}).get("image/png", {}).get("alt"))
    return notebook


def shown(data: dict[str, Any]) -> dict[str, Any]:
    """Leave a picture alone where there is one, and a sentence where there was a widget."""
    if "image/png" in data:
        return {"image/png": data["image/png"]}
    if WIDGET in data:
        return {"text/markdown": "*Here Jupyter shows a widget: open the notebook to move it.*"}
    if PLOTLY in data:
        return {"text/markdown": "*Here Jupyter draws a plot: open the notebook to see it.*"}
    return data


def describe(cell: nbformat.NotebookNode, alt: str | None) -> None:
    """Give a cell's picture its alt text, where MyST-NB looks for it."""
    if alt:
        cell.metadata.setdefault("mystnb", {})["image"] = {"alt": alt}
