"""How rows are listed on every page."""

import pandas as pd
import pytest

from app.parts.row_table import numbered, whose_label


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
