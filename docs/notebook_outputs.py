"""What the site shows of a notebook's outputs: pictures with their alt texts, where plots can be moved in Jupyter."""

import nbformat


def read_notebook(text: str) -> nbformat.NotebookNode:
    """Read a notebook; of a plot its picture is left, with the alt text where MyST-NB looks for it."""
    notebook = nbformat.reads(text, as_version=4)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data = {"image/png": output.data["image/png"]}
                cell.metadata.setdefault("mystnb", {})["image"] = {"alt": output.metadata["image/png"]["alt"]}
    return notebook
