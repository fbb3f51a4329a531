"""A person's text in a CSV: no spreadsheet computes it, and read here again it is the same text."""

import csv
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reaugkd.files import without_quotes, write_csv
from reaugkd.tasks.sources import read_table

ROOT = Path(__file__).parents[2]
FORMULAS = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1+1",
    "＋1",
    "－1",
    "＠x",
    "=",
    "-",
]
FORMULAS += ["'=1", "''=1", "'@anna", "-", "--", "+-1", "@", '=HYPERLINK("http://evil.example","x")']
PLAIN = [
    "",
    " ",
    "'",
    "'quoted'",
    "it's",
    "-5",
    "+1",
    "-1.5e3",
    "'-5",
    "a=1",
    "1-2",
    "don't =",
    '"=1"',
    "ü",
    "\u2028",
    "0",
    "NaN",
]


def cells(path):
    with path.open(encoding="utf-8", newline="") as file:
        return [cell for row in csv.reader(file) for cell in row]


def is_computed(cell):
    """Whether a spreadsheet would compute a cell; it takes a number as a number."""
    return cell[:1] in tuple("=+-@\t\r\n＝＋－＠") and not re.fullmatch(r"[-+]?\d+(\.\d+)?(e\d+)?", cell)


def same(path, texts):
    table = pd.DataFrame({"text": texts, "n": range(len(texts)), "=label": texts[::-1]})
    write_csv(table, path)
    assert [cell for cell in cells(path) if is_computed(cell)] == []
    again = read_table(path)
    assert list(again.columns) == list(table.columns)
    assert again["text"].tolist() == texts
    assert again["=label"].tolist() == texts[::-1]
    assert again["n"].tolist() == [str(number) for number in range(len(texts))]


def test_every_table_that_people_open_is_written_by_it():
    sources = [path for folder in ("app", "reaugkd") for path in (ROOT / folder).rglob("*.py")]
    names = {
        path.name for path in sources if ".to_csv(" in path.read_text("utf-8").replace('.to_csv(folder / "mine', "")
    }
    assert names == {"files.py", "report.py", "run.py"}  # a study's figures hold no person's text


def test_texts_that_look_like_formulas_are_text_in_a_spreadsheet_and_the_same_when_read(tmp_path, count):
    texts = ["end", *FORMULAS, *PLAIN]  # pandas would skip a line that is all blank
    same(tmp_path / "rows.csv", texts)
    count("texts in CSV", len(texts))
    for text in FORMULAS:
        write_csv(pd.DataFrame({"text": [text]}), tmp_path / "one.csv")
        assert cells(tmp_path / "one.csv") == ["text", f"'{text}"]
    for text in PLAIN[2:]:
        write_csv(pd.DataFrame({"text": [text]}), tmp_path / "one.csv")
        assert cells(tmp_path / "one.csv") == ["text", text]


def test_any_texts_are_the_same_when_read(tmp_path, short_or_whole, count):
    tried = 0
    beginnings = st.sampled_from([*FORMULAS, *PLAIN])
    text = st.builds(
        str.__add__, beginnings, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
    )

    @settings(max_examples=short_or_whole(50, 1_000), deadline=None, database=None, derandomize=True)
    @given(st.lists(text, min_size=1, max_size=8))
    def any_texts(texts):
        nonlocal tried
        tried += len(texts)
        same(tmp_path / "rows.csv", ["end", *texts])

    any_texts()
    count("texts in CSV", tried)


def test_the_names_of_columns_are_quoted_and_read_too():
    table = pd.DataFrame({"'=a": ["x"], "text": ["y"]})
    assert list(without_quotes(table).columns) == ["=a", "text"]


@pytest.mark.parametrize("text", ["@anna hi", "'quoted' words", "'=1", "'tis so"])
def test_a_file_of_others_keeps_its_quotes(tmp_path, text):
    table = pd.DataFrame({"text": [text, "=1+1", "-2+3"]})  # written by a program that adds no such quote
    table.to_csv(tmp_path / "theirs.csv", index=False)
    assert read_table(tmp_path / "theirs.csv")["text"].tolist() == table["text"].tolist()
