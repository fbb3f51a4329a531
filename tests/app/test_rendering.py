"""Templates: every text in them is shown as text, and what is missing is an error."""

import html
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from app.parts.problem import problem_html
from app.rendering import TEMPLATES, escaped_text, fill, fill_file, render, without_folders
from reaugkd.errors import ReAugKDError
from reaugkd.files import read_json_lines
from reaugkd.tasks.sources import named_texts, read_table

NASTY = "<img src=x onerror=\"alert(1)\"> ${alert(2)} {{alert(3)}} `\\` & 'quoted'\n  end"


def test_a_text_in_a_template_is_shown_as_text_and_keeps_its_line_breaks():
    shown = render("compared", first=NASTY, second=NASTY)
    assert shown == f"<p>Both answer <b>{escaped_text(NASTY)}</b>.</p>"
    assert html.unescape(escaped_text(NASTY)) == NASTY
    assert not set("<>${}`\\'\"") & set(escaped_text(NASTY))


def test_what_one_template_gives_another_is_not_escaped_twice():
    counts = dict.fromkeys(("a&b", "c", "d", "e"), 1)
    shown = render("outcomes", comparison={"counts": counts, "both_wrong_differently": 0})
    assert "<span>a&amp;b</span>" in shown
    assert 'data-pick="&#123;&quot;equal&quot;: &#123;&quot;outcome&quot;: &quot;a&amp;b&quot;&#125;&#125;"' in shown


@pytest.mark.parametrize("call", [lambda: render("compared", first="a"), lambda: fill("{{ absent }}")])
def test_a_value_that_is_missing_is_an_error(call):
    with pytest.raises(UndefinedError):
        call()


def test_plain_text_is_filled_as_it_is():
    assert fill("{{ name }}", name=NASTY) == NASTY


def test_code_holds_any_text_as_a_literal():
    code = fill_file("code/query.jinja", folder=NASTY, text=NASTY, settings={"k": None, "weight": 0.0}, changes={})
    assert f"from_pretrained({NASTY!r})" in code
    assert f"model.explain({NASTY!r}, weight=0.0)" in code


def test_no_template_marks_a_text_as_safe():
    for path in Path(TEMPLATES).rglob("*.html"):
        assert "|safe" not in path.read_text("utf-8").replace(" ", ""), path


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("'/tmp/gradio/0a1b/my file.csv' has no column 'x/y'.", "'my file.csv' has no column 'x/y'."),
        ("There is no file '/srv/runs/a'; see https://a.b/c or use OWNER/NAME.",) * 2,
        ("Line 3 of '/a/b.jsonl' and '/a/c.jsonl' differ.", "Line 3 of 'b.jsonl' and 'c.jsonl' differ."),
        ("Make it with `reaugkd teach --out /srv/a/outputs.pt`.", "Make it with `reaugkd teach --out outputs.pt`."),
    ],
)
def test_an_error_names_a_file_without_the_folders_of_the_server(said, shown):
    shown = shown.replace("/srv/runs/", "")
    assert without_folders(said) == shown
    assert escaped_text(shown) in render("problem", problem=said)


@pytest.mark.parametrize(
    ("name", "content", "read"),
    [
        ("my rows.csv", "text,kind\nplum,fruit\n", lambda path: named_texts(path, {"text": "text", "label": "label"})),
        ("torn.parquet", "no table", read_table),
        ("edits.jsonl", "no object", read_json_lines),
    ],
)
def test_what_is_wrong_with_an_uploaded_file_is_told_by_its_name(tmp_path, name, content, read):
    (tmp_path / name).write_text(content, "utf-8")
    with pytest.raises(ReAugKDError) as error:
        read(tmp_path / name)
    shown = html.unescape(problem_html(error.value))
    assert name in shown
    assert tmp_path.name not in shown
