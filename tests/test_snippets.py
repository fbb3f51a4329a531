"""The code that the pages show is run here, and gives what they show."""

import shlex
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reaugkd.comparison import compare
from reaugkd.error_analysis import RowFilter, confusion, summary
from reaugkd.evaluation_set import EvaluationSet, changed_rows, compared, held_out
from reaugkd.links import PageState, app_link, page_state, struck_in_link
from reaugkd.memory_audit import SHOWS, memories
from reaugkd.patch import Edit, apply_patch
from reaugkd.refit import refit_gate, with_weight
from reaugkd.retrieval import RetrievalSettings
from reaugkd.snippets import REFIT, compare_code, errors_code, memory_code, query_code
from reaugkd.what_if import AskedText, Strikes, explain_what_if

NASTY = "it's \"odd\" \\ {x} ${y} `z`\nimport os; os.abort() # ''' \u2028 λ"


def run(code):
    """Run code as a reader would, and return its names."""
    names = {}
    exec(compile(code, "copied", "exec"), names)
    return names


@pytest.fixture
def folder(toy_model_folder):
    return str(toy_model_folder)


@pytest.fixture
def asked(toy_model):
    return EvaluationSet.of(toy_model, held_out(toy_model, ["test"]))


# One answer


@pytest.mark.parametrize("weight", [None, 0.0, 0.3, 1.0])
@pytest.mark.parametrize("text", ["iron and rain", NASTY])
def test_the_code_of_an_answer_gives_that_answer(toy_model, folder, text, weight, capsys):
    retrieval = toy_model.retrieval.overridden(5, weight, 0.07)
    answer = run(query_code(folder, text, retrieval))["explanation"]
    wanted = toy_model.explain(text, k=5, retrieval_weight=weight, temperature=0.07)
    assert answer.as_dict() == wanted.as_dict()
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].startswith(wanted.label)
    assert len(printed.splitlines()) == 6


def test_the_code_of_an_answer_with_struck_out_memories_gives_that_answer(toy_model, folder):
    retrieval = RetrievalSettings(4, 0.8, 0.1)
    near = toy_model.explain("iron and rain", k=4, retrieval_weight=0.8, temperature=0.1).neighbours
    struck, relabelled = (near[0].number, near[2].number), {near[1].number: str(toy_model.classes_[0])}
    for gone, otherwise in ((struck, {}), ((), relabelled), (struck, relabelled)):
        answer = run(query_code(folder, "iron and rain", retrieval, gone, otherwise))["explanation"]
        query = AskedText.of(toy_model, "iron and rain")
        wanted = explain_what_if(toy_model, query, retrieval, Strikes(gone, otherwise))
        assert answer.as_dict() == wanted.as_dict()


def test_numbers_of_numpy_are_written_as_plain_ones(folder, toy_model):
    code = query_code(folder, "iron", RetrievalSettings(np.int64(3), np.float64(0.5), np.float64(0.1)))
    assert "np." not in code
    assert "explain('iron', k=3, retrieval_weight=0.5, temperature=0.1)" in code


def test_where_the_gate_sets_the_weight_none_is_given(toy_model):
    gated = query_code("runs/toy", "iron", toy_model.retrieval)
    assert toy_model.retrieval.gate is not None
    assert "retrieval_weight" not in gated
    assert "from_pretrained('runs/toy')" in gated


@pytest.mark.parametrize("text", ["iron", NASTY, ("iron", NASTY)])
def test_the_comment_makes_a_link_to_the_state(text):
    code = query_code("runs/toy", text, RetrievalSettings(3, 0.25, 0.1))
    call = code.rstrip().splitlines()[-1].removeprefix("# ")
    link = eval(call, {"app_link": app_link, "PageState": PageState})
    query = dict(pair.split("=") for pair in link.partition("?")[2].split("&"))
    assert query["model"] == "toy"
    first, second = (text, "") if isinstance(text, str) else text
    state = eval(call.removeprefix("app_link(")[:-1], {"PageState": PageState})
    assert state == PageState("toy", "query", first, second, 3, 0.25, 0.1)
    assert page_state({"k": query["k"], "retrieval_weight": query["retrieval_weight"]}).k == 3
    code = query_code("runs/toy", text, RetrievalSettings(3, 0.25, 0.1), (9, 4), {2: NASTY})
    call = code.rstrip().splitlines()[-1].removeprefix("# app_link(")[:-1]
    assert eval(call, {"PageState": PageState}) == replace(state, of_view=struck_in_link((9, 4), {2: NASTY}))


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
def test_the_code_of_the_errors_gives_figures_matrix_and_listed_rows(toy_model, folder, split, chosen):
    found = run(errors_code(folder, split, RetrievalSettings(4, 0.6, 0.05), chosen))
    asked = EvaluationSet.of(toy_model, held_out(toy_model, [split]))
    asked = asked.part(chosen["rows"]) if chosen.get("rows") else asked  # as the page answers no others
    answered = asked.answered(toy_model.memory, RetrievalSettings(4, 0.6, 0.05))
    assert found["figures"] == summary(answered, "accuracy")
    pd.testing.assert_frame_equal(found["counts"], confusion(answered.table(), tuple(toy_model.classes_)))
    pd.testing.assert_frame_equal(found["rows"], RowFilter(**chosen).of(answered.table()))


def test_the_code_of_selected_rows_has_the_figures_of_these(folder):
    found = run(errors_code(folder, "test", RetrievalSettings(4, 0.6, 0.05), {"rows": [0, 2, 5]}))
    assert found["figures"]["rows"] == found["counts"].to_numpy().sum() == len(found["rows"]) == 3
    assert found["rows"].index.tolist() == [0, 2, 5]


def test_the_code_of_the_answers_that_sliders_flip_lists_them(toy_model, folder):
    retrieval, asked = RetrievalSettings(4, 1.0, 0.05), EvaluationSet.of(toy_model, held_out(toy_model, ["test"]))
    table = asked.answered(toy_model.memory, retrieval).table(asked.answered(toy_model.memory, toy_model.retrieval))
    for kind in ("fixed", "broken"):
        found = run(errors_code(folder, "test", retrieval, {"equal": {"flip": kind}}))["rows"]
        pd.testing.assert_frame_equal(found, table[table["flip"] == kind])


def test_the_code_of_the_errors_leaves_out_a_filter_that_lets_all_rows_pass(toy_model):
    code = errors_code("runs/toy", "test", toy_model.retrieval, {"equal": {}, "between": {}, "rows": None, "text": ""})
    assert "rows = RowFilter().of(table)" in code
    k, temperature = toy_model.retrieval.k, float(toy_model.retrieval.temperature)
    assert f"overridden(k={k}, temperature={temperature!r})" in code


# The memory


@pytest.mark.parametrize("show", SHOWS)
@pytest.mark.parametrize("text", ["", "iron", NASTY])
def test_the_code_of_the_memory_lists_what_is_listed(toy_model, asked, folder, show, text):
    wanted = memories(toy_model, asked.answered(toy_model.memory, toy_model.retrieval), show)
    found = run(memory_code(folder, show, {"text": text}))["rows"]
    pd.testing.assert_frame_equal(found, RowFilter(text=text).of(wanted))


def test_the_code_of_memories_that_are_selected_lists_these(toy_model, folder):
    found = run(memory_code(folder, "all", {"rows": [7, 3]}))["rows"]
    assert found["number"].tolist() == [3, 7]
    assert found["id"].tolist() == toy_model.memory.rows["id"].iloc[[3, 7]].tolist()


@pytest.mark.parametrize("show", ["all", "edited", "near-duplicates"])
def test_the_code_of_a_model_without_test_rows_lists_what_can_be_listed(toy_model, tmp_path, show):
    bare = replace(apply_patch(toy_model, patch_of(toy_model)).parts, evaluation_rows=None)
    type(toy_model)(bare).save_pretrained(tmp_path / "bare")
    found = run(memory_code(str(tmp_path / "bare"), show, {}, carries_rows=False))["rows"]
    pd.testing.assert_frame_equal(found, memories(type(toy_model)(bare), None, show))


def patch_of(model):
    rows = model.parts.knowledge_base.rows
    return (
        Edit("relabel", rows["id"].iloc[7], "weather"),
        Edit("remove", rows["id"].iloc[3]),
        Edit("add", "added-1", "gadget", NASTY),
    )


@pytest.mark.parametrize("answer_by", [None, 0.7, REFIT])
def test_the_code_of_pending_edits_gives_the_rows_that_they_change(toy_model, asked, folder, answer_by):
    patch = patch_of(toy_model)
    found = run(memory_code(folder, "suspicious", {}, patch, answer_by, "runs/better"))
    before, after = toy_model, apply_patch(toy_model, patch)
    if answer_by == REFIT:
        after = refit_gate(after)
    elif answer_by is not None:
        before, after = with_weight(before, answer_by), with_weight(after, answer_by)
    assert found["patch"] == patch
    pd.testing.assert_frame_equal(found["changed"], changed_rows(before, after, held_out(toy_model, ["test"])))
    new = asked.with_classes(after.parts.settings.label_names)
    shown = compared(asked.answered(before.memory, before.retrieval), new.answered(after.memory, after.retrieval))
    assert found["changed"]["after"].tolist() == shown["after"].tolist()


def test_the_command_that_does_the_same_is_named_with_its_options():
    patch = (Edit("remove", "s1"),)
    plain, refitted, fixed = (
        memory_code("runs/my toy", "suspicious", {}, patch, by, "runs/my toy-edited") for by in (None, REFIT, 0.5)
    )
    command = "reaugkd edit 'runs/my toy' --patch patch.jsonl --out 'runs/my toy-edited'"
    assert plain.rstrip().endswith(command)
    assert refitted.rstrip().endswith(f"{command} --refit")
    assert "reaugkd edit runs" not in fixed


@pytest.mark.parametrize("name", [NASTY, "a\nb", "x'; rm -rf"])
def test_a_name_stays_in_its_comment_and_in_its_quotes(name):
    code = memory_code(name, "suspicious", {}, (Edit("remove", "s1"),), None, name)
    command = next(line for line in code.splitlines() if line.startswith("# reaugkd edit"))
    words = shlex.split(command.removeprefix("# "))
    assert words[:2] + words[3:6] == ["reaugkd", "edit", "--patch", "patch.jsonl", "--out"]
    assert words[2] == words[6] == (name if name.isprintable() else repr(name))
    compile(code, "copied", "exec")


# Two sides


@pytest.mark.parametrize("weights", [(None, 0.0), (1.0, 0.25)])
@pytest.mark.parametrize("chosen", [{}, {"equal": {"differs": "True"}}, {"equal": {}, "text": NASTY}])
def test_the_code_of_a_comparison_gives_that_comparison(toy_model, folder, asked, weights, chosen):
    found = run(compare_code((folder, weights[0]), (folder, weights[1]), "test", chosen, "iron and rain"))
    wanted = compare(
        *(
            asked.answered(toy_model.memory, toy_model.retrieval.overridden(retrieval_weight=weight))
            for weight in weights
        ),
        "accuracy",
    )
    assert found["comparison"].scores == wanted.scores
    assert found["comparison"].difference == wanted.difference
    assert found["comparison"].p_value == wanted.p_value
    pd.testing.assert_frame_equal(found["rows"], RowFilter(**chosen).of(wanted.table))
    assert [answer.as_dict() for answer in found["answers"]] == [
        toy_model.explain("iron and rain", retrieval_weight=weight).as_dict() for weight in weights
    ]


def test_the_code_of_a_comparison_loads_both_models(toy_model, folder, tmp_path):
    edited = apply_patch(toy_model, patch_of(toy_model))
    edited = replace(edited.parts, retrieval=RetrievalSettings(4, 0.9, 0.05))
    type(toy_model)(edited).save_pretrained(tmp_path / "other")
    found = run(compare_code((folder, None), (str(tmp_path / "other"), None), "validation", {}, NASTY))
    assert found["second"].classes_.tolist() == [*toy_model.classes_, "gadget"]
    assert len(found["rows"]) == 24
    assert "second = first" in compare_code((folder, None), (folder, 0.0), "test", {}, "iron")


def test_the_code_of_a_comparison_over_selected_rows_compares_these_alone(toy_model, folder, asked):
    chosen, further = {"rows": [9, 2, 17, 30], "text": ""}, {"equal": {"differs": "False"}}
    found = run(compare_code((folder, None), (folder, 0.0), "test", chosen | further, "iron"))
    part = asked.part(chosen["rows"])
    sides = [part.answered(toy_model.memory, toy_model.retrieval.overridden(retrieval_weight=by)) for by in (None, 0.0)]
    wanted = compare(*sides, "accuracy")
    assert found["comparison"].scores == wanted.scores
    assert found["comparison"].difference == wanted.difference
    assert found["comparison"].table.index.tolist() == chosen["rows"]
    pd.testing.assert_frame_equal(found["rows"], RowFilter(**further).of(wanted.table))
