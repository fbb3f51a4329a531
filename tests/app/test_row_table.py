"""How rows are listed on every page."""

import pandas as pd
import pytest

from app.parts.row_table import in_order, next_order, numbered, row_table, whose_label


@pytest.mark.parametrize(
    ("columns", "first"),
    [(["text"], "row"), (["text", "row"], "row number"), (["row number", "row"], "row number number")],
)
def test_the_numbers_of_rows_come_first_and_a_column_of_that_name_keeps_it(columns, first):
    rows = pd.DataFrame({name: ["a", "b"] for name in columns}, index=[7, 9])
    found = numbered(rows, "row")
    assert found.columns.tolist() == [first, *columns]
    assert found[first].tolist() == [7, 9]
    assert found[columns].to_numpy().tolist() == rows.to_numpy().tolist()


def test_a_label_that_a_teacher_gave_is_not_called_gold():
    assert whose_label({"label": "metal"}) == whose_label(pd.Series({"labelled_by": ""})) == "gold label"
    assert whose_label(pd.Series({"labelled_by": "teacher"})) == "labelled by the teacher"


def test_a_row_with_a_pending_edit_says_what_becomes_of_it_and_a_text_is_no_html():
    rows = pd.DataFrame({"number": [3, 4], "text": ["<b>${1}</b>", "fog"], "label": ["a", "b"], "doubt": [0.5, None]})
    html = row_table(rows, ("doubt", False), {3: "c"})
    assert "&lt;b&gt;" in html
    assert "${" not in html
    assert "a <b>→ c</b>" in html
    assert html.count('class="edited"') == 1
    assert "0.50" in html
    assert "nan" not in html


def test_a_click_on_a_header_sorts_figures_from_the_highest_texts_from_the_first_and_what_is_missing_last():
    rows = pd.DataFrame({"row": [0, 1, 2], "text": ["b", None, "a"], "score": [0.5, None, 2.0], "mixed": [2, "b", 1]})
    by_score = next_order(rows, "score", ("", True))
    assert by_score == ("score", False)
    assert in_order(rows, *by_score)["row"].tolist() == [2, 0, 1]
    assert in_order(rows, *next_order(rows, "score", by_score))["row"].tolist() == [0, 2, 1]
    assert in_order(rows, *next_order(rows, "text", by_score))["row"].tolist() == [2, 0, 1]
    assert in_order(rows, *next_order(rows, "mixed", by_score))["row"].tolist() == [2, 0, 1]
    assert next_order(rows, "row", by_score) == ("row", True)
    assert in_order(rows, "a column of another model", True) is rows
    drawn = row_table(rows, by_score)
    assert 'aria-sort="descending"><button data-sort="score">' in drawn
    assert "checkbox" not in drawn
