import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
MAX_BYTES = 1_000_000
BY_NAME = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    notebook = nbformat.read(path, as_version=4)
    return notebook, [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_the_walkthrough_is_among_the_notebooks():
    assert "01_walkthrough" in [path.stem for path in NOTEBOOKS]


@BY_NAME
def test_a_committed_notebook_is_cleared_or_one_clean_run(path):
    notebook, cells = read(path)
    nbformat.validate(notebook)
    counts = [cell.execution_count for cell in cells]
    outputs = [output for cell in cells for output in cell.outputs]
    assert counts in ([None] * len(cells), list(range(1, len(cells) + 1)))
    assert [output for output in outputs if output.output_type == "error"] == []
    if counts[0] is None:
        assert outputs == []
    assert path.stat().st_size < MAX_BYTES


@BY_NAME
def test_a_notebook_needs_three_imports_of_the_library_and_builds_no_settings(path):
    lines = [line for cell in read(path)[1] for line in cell.source.splitlines()]
    imports = [line for line in lines if re.match(r"\s*(import|from) reaugkd", line)]
    assert 1 <= len(imports) <= 3
    assert [line for line in lines if re.search(r"\b\w*Settings\(", line)] == []


@BY_NAME
def test_a_notebook_names_no_path_of_a_machine(path):
    text = path.read_text(encoding="utf-8")
    assert [place for place in ("/home/", "/root/", "/tmp/", "/work/", "/Users/", "C:\\") if place in text] == []


def test_every_step_of_the_walkthrough_draws_except_the_limits():
    notebook, _ = read(NOTEBOOKS[0].with_name("01_walkthrough.ipynb"))
    draws, step = {}, None
    for cell in notebook.cells:
        heading = cell.source.splitlines()[0]
        if cell.cell_type == "markdown" and heading.startswith("## "):
            step = heading.removeprefix("## ").split(".")[0]
        elif cell.cell_type == "code" and step:
            draws[step] = draws.get(step, 0) + cell.source.count("figures.")
    assert list(draws) == [str(number) for number in range(1, 12)]
    assert [step for step, count in draws.items() if not count] == ["11"]
    assert "## Exercises" in notebook.cells[-1].source


@pytest.mark.slow
@BY_NAME
def test_a_notebook_runs_from_top_to_bottom(path, tmp_path):
    notebook, cells = read(path)
    for cell in cells:
        cell.outputs, cell.execution_count = [], None
    # The caps on threads that the other tests want would only slow this down.
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    client = NotebookClient(
        notebook, kernel_name="python3", timeout=900, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute(env=environment)  # raises at the first cell that fails
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    errors = [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert errors == []
    figures = [
        output
        for cell in cells
        for output in cell.outputs
        if "application/vnd.plotly.v1+json" in output.get("data", {})
    ]
    drawn = [cell for cell in cells if "figures." in cell.source]
    assert len(figures) == len(drawn)
    titles = [figure["data"]["application/vnd.plotly.v1+json"]["layout"]["title"]["text"] for figure in figures]
    assert all(len(title) > 10 for title in titles)
    assert list(tmp_path.iterdir()) == []  # a notebook leaves nothing where it was started
