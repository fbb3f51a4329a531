"""The code that the pages show is run here, and gives what they show."""

from dataclasses import replace

import pandas as pd
import pytest

from app.snippets import compare_code, errors_code, memory_code, query_code
from reaugkd.analysis.comparison import compare
from reaugkd.analysis.edit_effects import halves
from reaugkd.analysis.edits import Edit, apply_patch
from reaugkd.analysis.error_analysis import RowFilter, confusion, sliceable_table, slices, summary
from reaugkd.analysis.memory_audit import memories
from reaugkd.analysis.memory_questions import LEAKS, SHOWS
from reaugkd.analysis.refit import refit_pool
from reaugkd.analysis.what_if import WhatIf, explain_what_if
from reaugkd.method.answers import changed_answers
from reaugkd.method.pool import KeySettings, Pool

NASTY = "it's \"odd\" \\ {x} ${y} `z`\nimport os; os.abort() # ''' \u2028 λ"
SETTINGS = ("k", "retrieval_weight", "temperature")


def run(code):
    """Run code as a reader would, and return its names."""
    names = {}
    exec(compile(code, "copied", "exec"), names)
    return names


@pytest.fixture(scope="module")
def model(toy_model):
    """The toy model, whose memory has a say by two keys."""
    keys = {"aligned": KeySettings(8, 0.1, 0.6), "text": KeySettings(5, 0.2, 0.5)}
    return replace(toy_model, pool=Pool(keys, 0.7))


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "toy"
    model.save_pretrained(path)
    return str(path)


@pytest.fixture(scope="module")
def encoded(model):
    return rows_of(model, "test")


def rows_of(model, split):
    return model.encode_rows(model.held_out([split]))


# One answer


@pytest.mark.parametrize("settings", [(None, None, None), (5, 0.0, 0.07), (None, 0.3, None), (2, 1.0, 0.3)])
@pytest.mark.parametrize("text", ["iron and rain", NASTY])
def test_the_code_of_an_answer_gives_that_answer(model, folder, text, settings, capsys):
    asked = dict(zip(SETTINGS, settings, strict=True))
    answer = run(query_code(folder, text, {}, **asked))["explanation"]
    wanted = model.explain(text, **asked)
    assert answer.as_dict() == wanted.as_dict()
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].startswith(wanted.label)
    assert len(printed.splitlines()) == 1 + len(wanted.neighbours)


@pytest.mark.parametrize("settings", [(4, 0.8, 0.1), (None, None, None)])
def test_the_code_of_an_answer_with_struck_out_memories_gives_that_answer(model, folder, settings):
    pool, query = model.pool.overridden(*settings), model.encode(["iron and rain"])
    near = model.answer(query, pool).retrieved["aligned"].numbers[0].tolist()
    asked = dict(zip(SETTINGS, settings, strict=True))
    struck, relabelled = (near[0], near[2]), {near[1]: str(model.classes_[0])}
    for gone, otherwise in ((struck, {}), ((), relabelled), (struck, relabelled)):
        changes = {"struck": gone, "relabelled": otherwise}
        answer = run(query_code(folder, "iron and rain", changes, **asked))["explanation"]
        wanted = explain_what_if(model, query, pool, WhatIf(gone, otherwise))
        assert answer.as_dict() == wanted.as_dict()


def test_what_is_as_chosen_is_left_out():
    code = query_code("runs/toy", "iron", {}, **dict.fromkeys(SETTINGS))
    assert "explanation = model.explain('iron')\n" in code
    assert "from_pretrained('runs/toy')" in code
    assert "explain('iron', temperature=0.2)" in query_code("runs/toy", "iron", {}, k=None, temperature=0.2)
    assert "answers = model.answer(encoded, model.pool)\n" in errors_code(
        "runs/toy", "test", {}, **dict.fromkeys(SETTINGS)
    )
    code = errors_code("runs/toy", "test", {"equal": {}, "between": {}, "rows": None, "text": ""}, k=4)
    assert "model.answer(encoded, model.pool.overridden(k=4))" in code
    assert "rows = RowFilter().of(table)" in code


# All rows


@pytest.mark.parametrize("split", ["test", "validation"])
@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"rows": None, "between": {}, "equal": {}, "text": ""},
        {"equal": {"effect": "none"}, "text": "iron"},
        {"equal": {"label": "metal", "student": "metal"}},
        {"between": {"probability": [0.0, 0.9]}, "rows": [0, 2, 5]},
        {"text": NASTY},
    ],
)
def test_the_code_of_the_errors_gives_figures_matrix_and_listed_rows(model, folder, split, chosen):
    found = run(errors_code(folder, split, chosen, k=4, retrieval_weight=0.6, temperature=0.05))
    answers = model.answer(rows_of(model, split), model.pool.overridden(4, 0.6, 0.05))
    rows = RowFilter(**chosen).of(sliceable_table(answers))
    pd.testing.assert_frame_equal(found["rows"], rows)
    assert found["figures"] == (summary(answers.part(rows.index), "accuracy") if len(rows) else {})
    pd.testing.assert_frame_equal(found["counts"], confusion(rows, tuple(model.classes_)))
    pd.testing.assert_frame_equal(found["worst"], slices(rows))


def test_the_code_of_selected_rows_has_the_figures_of_these(folder):
    found = run(errors_code(folder, "test", {"rows": [0, 2, 5]}, k=4, retrieval_weight=0.6, temperature=0.05))
    assert found["figures"]["rows"] == found["counts"].to_numpy().sum() == len(found["rows"]) == 3
    assert found["rows"].index.tolist() == [0, 2, 5]


def test_the_code_of_the_answers_that_sliders_flip_lists_them(model, folder, encoded):
    asked = {"k": 4, "retrieval_weight": 1.0, "temperature": 0.05}
    table = sliceable_table(model.answer(encoded, model.pool.overridden(**asked)), model.answer(encoded))
    for kind in ("fixed", "broken"):
        found = run(errors_code(folder, "test", {"equal": {"flip": kind}}, **asked))["rows"]
        pd.testing.assert_frame_equal(found, table[table["flip"] == kind])


# The memory


@pytest.mark.parametrize("show", SHOWS)
@pytest.mark.parametrize("text", ["", "iron", NASTY])
def test_the_code_of_the_memory_lists_what_is_listed(model, encoded, folder, show, text):
    judging = encoded if show == LEAKS else halves(encoded)[0]
    wanted = memories(model, model.answer(judging), show)
    found = run(memory_code(folder, show, {"text": text}))["rows"]
    pd.testing.assert_frame_equal(found, RowFilter(text=text).of(wanted))


@pytest.mark.parametrize("show", ["all", "most used"])
def test_the_code_of_memories_that_are_selected_lists_these(model, folder, show):
    found = run(memory_code(folder, show, {"rows": [7, 3]}))["rows"].sort_index()
    assert found.index.tolist() == [3, 7]
    assert found["id"].tolist() == model.memory.rows["id"].iloc[[3, 7]].tolist()


@pytest.mark.parametrize("show", ["all", "edited", "near-duplicates"])
def test_the_code_of_a_model_without_test_rows_lists_what_can_be_listed(model, tmp_path, show):
    bare = replace(apply_patch(model, patch_of(model)), evaluation_rows=None)
    bare.save_pretrained(tmp_path / "bare")
    found = run(memory_code(str(tmp_path / "bare"), show, {}, carries_rows=False))["rows"]
    pd.testing.assert_frame_equal(found, memories(bare, None, show))


def patch_of(model):
    rows = model.memory.rows
    return (
        Edit("relabel", rows["id"].iloc[7], "weather"),
        Edit("remove", rows["id"].iloc[3]),
        Edit("add", "added-1", "gadget", NASTY),
    )


@pytest.mark.parametrize("show", ["label looks wrong", "near-duplicates"])
@pytest.mark.parametrize("refit", [False, True])
def test_the_code_of_pending_edits_gives_the_rows_that_they_change(model, folder, refit, show):
    patch = patch_of(model)
    found = run(memory_code(folder, show, {}, patch, refit, "runs/better"))
    edited = apply_patch(model, patch)
    edited = refit_pool(edited) if refit else edited
    assert found["patch"] == patch
    assert found["edited"].pool == edited.pool
    judging, _ = halves(rows_of(model, "test"))
    answers = [version.answer(judging) for version in (model, edited)]
    pd.testing.assert_frame_equal(found["changed"], changed_answers(*answers))


def test_no_name_of_a_version_ends_the_comment_in_which_it_stands():
    code = memory_code(NASTY, "label looks wrong", {}, (Edit("remove", "s1"),), False, NASTY)
    assert code.endswith(f"\n# edited.save_pretrained({NASTY!r})\n")
    compile(code, "copied", "exec")


# Two sides


@pytest.mark.parametrize("weights", [(None, 0.0), (1.0, 0.25)])
@pytest.mark.parametrize("chosen", [{}, {"equal": {"differs": "True"}}, {"equal": {}, "text": NASTY}])
def test_the_code_of_a_comparison_gives_that_comparison(model, folder, encoded, weights, chosen):
    found = run(compare_code(((folder, weights[0]), (folder, weights[1])), "test", chosen, "iron and rain"))
    sides = [model.answer(encoded, model.pool.overridden(retrieval_weight=weight)) for weight in weights]
    wanted = compare(*sides, "accuracy")
    assert found["comparison"].scores == wanted.scores
    assert found["comparison"].difference == wanted.difference
    assert found["comparison"].p_value == wanted.p_value
    pd.testing.assert_frame_equal(found["rows"], RowFilter(**chosen).of(wanted.table))
    assert [explanation.as_dict() for explanation in found["explanations"]] == [
        model.explain("iron and rain", retrieval_weight=weight).as_dict() for weight in weights
    ]


def test_the_code_of_a_comparison_loads_both_models(model, folder, tmp_path):
    apply_patch(model, patch_of(model)).save_pretrained(tmp_path / "other")
    found = run(compare_code(((folder, None), (str(tmp_path / "other"), None)), "validation", {}, NASTY))
    assert found["second"].classes_.tolist() == [*model.classes_, "gadget"]
    assert len(found["rows"]) == 24
    assert "second = first" in compare_code(((folder, None), (folder, 0.0)), "test", {}, "iron")


def test_the_code_of_a_comparison_over_selected_rows_compares_these_alone(model, folder, encoded):
    chosen, further = {"rows": [9, 2, 17, 30], "text": ""}, {"equal": {"differs": "False"}}
    found = run(compare_code(((folder, None), (folder, 0.0)), "test", chosen | further, "iron"))
    part = encoded.part(chosen["rows"])
    sides = [model.answer(part, model.pool.overridden(retrieval_weight=by)) for by in (None, 0.0)]
    wanted = compare(*sides, "accuracy")
    assert found["comparison"].scores == wanted.scores
    assert found["comparison"].difference == wanted.difference
    assert found["comparison"].table.index.tolist() == chosen["rows"]
    pd.testing.assert_frame_equal(found["rows"], RowFilter(**further).of(wanted.table))
