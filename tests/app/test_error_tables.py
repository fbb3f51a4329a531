"""Each button of the pages' tables says which rows it opens, and every name is shown as text."""

import html
import json
import re

import pandas as pd

from app.rendering import render
from app.views.errors_figures import (
    MAX_CLASSES,
    confusion_table,
    disagreement_table,
    reliability_bars,
    summary_html,
)
from reaugkd.analysis.comparison import OUTCOMES, Comparison
from reaugkd.analysis.error_analysis import RowFilter, calibration, confusion, disagreements
from reaugkd.measures.metrics import Interval

NASTY = '<img src=x onerror="alert(1)"> ${alert(2)} {{alert(3)}}'


def table_of(labels, answers, probabilities=None):
    return pd.DataFrame(
        {
            "text": "t",
            "label": labels,
            "student": answers,
            "answer": answers,
            "probability": probabilities or [0.5] * len(labels),
        }
    )


def flips_of(flips):
    figures = {"score": {"student": 0.5, "answer": 0.75}, "rows": 6, "effects": {"fixed": 2, "broken": 1, "changed": 0}}
    figures |= {"interval": {"student": (0.2, 0.8), "answer": (0.3, 0.9)}, "gain": Interval(0.25, -0.1, 0.5)}
    return summary_html(figures, "macro_f1", flips, "rows")


def picked(written, table):
    """What stands on each button, and how many rows it opens."""
    buttons = re.findall(r'<button[^>]*data-pick="([^"]*)"[^>]*>(.*?)</button>', written, re.DOTALL)
    rows = [len(RowFilter(**json.loads(html.unescape(pick))).of(table)) for pick, _ in buttons]
    return [
        (int(re.findall(r"\d+", re.sub(r"<[^>]*>", " ", text))[-1]), count)
        for (_, text), count in zip(buttons, rows, strict=True)
    ]


def test_every_button_opens_as_many_rows_as_stand_on_it():
    table = table_of(list("aabbcc"), list("abbbca"), [0.1, 0.2, 0.75, 0.8, 1.0, 0.05])
    for written in (
        confusion_table(confusion(table, ("a", "b", "c"))),
        disagreement_table(disagreements(table)),
        reliability_bars({"answer": calibration(table)}),
    ):
        found = picked(written, table)
        assert found
        assert all(said == opened for said, opened in found)


def test_every_count_of_flips_opens_its_rows_and_those_of_none_are_not_named():
    table = table_of(list("aabbcc"), list("abbbca"), [0.1, 0.2, 0.75, 0.8, 1.0, 0.05])
    table["flip"] = ["fixed", "none", "none", "changed", "fixed", "none"]
    written = flips_of(table["flip"].value_counts().to_dict())
    assert picked(written, table) == [(2, 2), (1, 1)]
    assert "broken" not in written
    assert "chosen in training: nothing.</p>" in flips_of({"none": 6})


def test_every_count_of_a_comparison_opens_its_rows_and_an_empty_one_is_no_button():
    outcomes = [name for name, count in zip(OUTCOMES, (5, 2, 0, 3), strict=True) for _ in range(count)]
    differs = [name == OUTCOMES[1] for name in outcomes]
    differs[-1] = True  # both wrong, with other answers
    table = pd.DataFrame({"text": "t", "outcome": outcomes, "differs": differs})
    comparison = Comparison((0.7, 0.5), Interval(0.2, 0.0, 0.4), 0.5, (0.1, 0.1), table)
    written = render("outcomes", comparison=comparison)
    assert picked(written, table) == [(5, 5), (2, 2), (3, 3), (1, 1)]
    assert "<b>0</b><span>only second right</span>" in written


def test_the_rows_behind_every_cell_and_every_combination_can_be_opened():
    names = tuple(f"class {number:02}" for number in range(60))
    table = table_of([*names, *names], [*names, *names[::-1]])
    written = confusion_table(confusion(table, names))
    assert re.findall(r'scope="row" title="[^"]*">([^<]*)<', written) == list(names)
    assert "left out" not in written
    for shown in (written, disagreement_table(disagreements(table))):
        assert sum(opened for _, opened in picked(shown, table)) == len(table)


def test_of_very_many_classes_those_of_most_errors_are_drawn_the_most_first():
    names = tuple(f"class {number:03}" for number in range(130))
    labels, answers = [*names, *[names[129]] * 3, names[64]], [*names, *[names[7]] * 3, names[7]]
    written = confusion_table(confusion(table_of(labels, answers), names))
    rows = re.findall(r'scope="row" title="[^"]*">([^<]*)<', written)
    assert len(rows) == MAX_CLASSES
    assert rows[:4] == ["class 007", "class 129", "class 064", "class 000"]
    assert "30 others are left out" in written


def test_where_all_agree_a_sentence_says_so_and_the_rows_can_be_opened():
    table = table_of(list("aab"), list("aab"))
    written = disagreement_table(disagreements(table))
    assert "agree on every row" in written
    assert picked(written, table) == [(2, 2), (1, 1)]


def test_combinations_in_which_all_agree_stand_last_under_a_line_that_says_so():
    table = table_of(list("aaabb"), list("aaaba"))
    before, after = disagreement_table(disagreements(table)).split("All agree")
    assert [picked(part, table) for part in (before, after)] == [[(1, 1)], [(3, 3), (1, 1)]]
    assert "agree on every row" not in before


def test_names_stand_in_tables_as_text():
    table = table_of([NASTY, "b"], ["b", "b"])
    for written in (confusion_table(confusion(table, (NASTY, "b"))), disagreement_table(disagreements(table))):
        assert "<img" not in written
        assert not re.search(r"[{}$`]", written)
        assert all(said == opened for said, opened in picked(written, table))


def test_a_long_name_is_whole_in_its_title():
    name = "a class of a very long name " * 20
    table = table_of([name, "b"], ["b", "b"])
    for shown in (confusion_table(confusion(table, (name, "b"))), disagreement_table(disagreements(table))):
        assert f'title="{name}"' in shown
