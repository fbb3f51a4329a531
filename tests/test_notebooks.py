import os
import re
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest

from docs.run_notebooks import PLOTLY, WIDGET, code_cells, run

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
COURSE = [
    "01_teacher_and_student",
    "02_a_memory_worth_searching",
    "03_relational_distillation",
    "04_keys_and_the_pool",
    "05_errors_and_repairs",
    "06_small_and_large",
    "07_your_own_task",
]
MAX_BYTES = 1_500_000
MAX_LINES = 20
PARTS = ["exercise", "check", "solution"]  # tags of the cells that follow an exercise's text
BY_NAME = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    notebook = nbformat.read(path, as_version=4)
    return notebook, code_cells(notebook)


def tags(cell):
    return cell.metadata.get("tags", [])


def exercises(notebook):
    """Return text, reader's cell, check and solution of every exercise."""
    cells = notebook.cells
    return [cells[place - 1 : place + 3] for place, cell in enumerate(cells) if "exercise" in tags(cell)]


def solution_code(cell):
    (code,) = re.findall(r"```python\n(.*?)```", cell.source, flags=re.DOTALL)
    return code


def printed(cell):
    return "".join(output.get("text", "") for output in cell.outputs)


def test_the_course_has_its_notebooks():
    assert [path.stem for path in NOTEBOOKS] == COURSE


@BY_NAME
def test_a_committed_notebook_is_one_clean_run(path):
    notebook, cells = read(path)
    nbformat.validate(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"] == []
    assert [output for output in outputs if WIDGET in output.get("data", {})] == []
    assert path.stat().st_size < MAX_BYTES


@BY_NAME
def test_every_plot_states_its_finding_and_has_an_image_with_that_text(path):
    outputs = [output for cell in read(path)[1] for output in cell.outputs]
    drawn = [output for output in outputs if PLOTLY in output.get("data", {})]
    assert len(drawn) >= 2
    for output in drawn:
        title = output["data"][PLOTLY]["layout"]["title"]["text"].replace("<br>", " ")
        assert len(title) > 20
        assert output["metadata"]["image/png"]["alt"] == title
        assert len(output["data"]["image/png"]) > 5_000


@BY_NAME
def test_no_cell_is_long_and_prose_comes_before_code(path):
    notebook, cells = read(path)
    assert [cell.source for cell in cells if len(cell.source.splitlines()) > MAX_LINES] == []
    assert notebook.cells[0].source.startswith("# ")
    for part in ("You will be able to", "Time", "Needs"):
        assert f"**{part}" in notebook.cells[0].source
    kinds = [cell.cell_type for cell in notebook.cells if not set(tags(cell)) & set(PARTS)]
    assert max(_runs(kinds, "code")) <= 2  # a paragraph for at most two cells


def _runs(kinds, kind):
    """Return the lengths of the runs of one kind."""
    ends = [place for place, of in enumerate([*kinds, None]) if of != kind]
    return [after - before - 1 for before, after in pairwise([-1, *ends])]


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


@BY_NAME
def test_each_exercise_has_a_text_an_empty_answer_a_check_and_a_folded_solution(path):
    notebook, _ = read(path)
    found = exercises(notebook)
    assert 2 <= len(found) <= 4
    for number, (text, answer, check, solution) in enumerate(found, start=1):
        assert text.source.startswith(f"### Exercise {number}.")
        assert [tags(cell) for cell in (answer, check, solution)] == [[part] for part in PARTS]
        assert "..." in answer.source
        assert answer.metadata["wrong"]
        assert printed(check).startswith("Not yet: ")
        assert solution.source.startswith("<details><summary>")
        assert solution_code(solution)


def checked(path, folder):
    """Run a notebook, then each exercise's wrong answer and its solution with the check; return what checks printed."""
    notebook, cells = read(path)
    asked = exercises(notebook)
    for _, answer, check, solution in asked:
        for code in (answer.metadata["wrong"], check.source, solution_code(solution), check.source):
            notebook.cells.append(nbformat.v4.new_code_cell(code))
    run(notebook, folder)  # raises at the first cell that fails
    added = code_cells(notebook)[len(cells) :]
    empty = [printed(check) for _, _, check, _ in asked]
    return list(zip(empty, map(printed, added[1::4]), map(printed, added[3::4]), strict=True))


def passes(path, folder):
    """Run a notebook and see that its checks tell an empty, a wrong and a right answer apart."""
    for empty, wrong, right in checked(path, folder):
        assert empty.startswith("Not yet: ")
        assert wrong.startswith("Not yet: ")
        assert wrong != empty
        assert right.startswith("Right: ")
    assert list(folder.iterdir()) == []  # a notebook leaves nothing where it was started


@pytest.mark.skipif("REAUGKD_CACHE" not in os.environ, reason="runs the notebooks by the models in $REAUGKD_CACHE")
@BY_NAME
def test_a_notebook_runs_with_trained_models_at_hand(path, tmp_path):
    passes(path, tmp_path)


@pytest.mark.slow
@BY_NAME
def test_a_notebook_runs_from_nothing(path, tmp_path, monkeypatch, made_once):
    monkeypatch.setenv("REAUGKD_CACHE", str(made_once("course", lambda folder: folder.mkdir(parents=True))))
    passes(path, tmp_path)
