"""What the page Query shows where the memory sways an answer."""

import threading
from dataclasses import replace

import pytest
import query_view
from playwright.sync_api import expect

from reaugkd.answer_bars import what_happened
from reaugkd.inference import ReAugKDClassifier
from reaugkd.knowledge_base import KnowledgeBase
from reaugkd.what_if import AskedText, Strikes, explain_what_if

BARS = "#answer .answer-bars tbody tr"
CELLS = ".neighbours tbody tr"


@pytest.fixture(scope="module")
def address(serve_model, forgetful):
    return serve_model(forgetful)


@pytest.fixture(scope="module")
def text(forgetful):
    """A text whose answer the memory changes."""
    said = map(forgetful.explain, forgetful.parts.evaluation_rows["text"])
    return next(one.text for one in said if one.label != one.student_label)


@pytest.fixture
def page(open_page, address, text):
    """The page, with that text answered."""
    page = open_page(address)
    expect(page.locator(BARS).first).to_be_visible()
    ask(page, text)
    return page


def ask(page, text):
    page.locator("#text textarea").fill(text)
    expect(page.locator("#answer .asked")).to_have_text(text)


def figures(values):
    return [f"{value:.2f}" for value in values]


def test_the_box_opens_with_the_first_answer_which_would_overwrite_what_was_typed_before(
    open_page, serve_model, forgetful, monkeypatch
):
    may_come, about_html = threading.Event(), query_view.about_html
    monkeypatch.setattr(query_view, "about_html", lambda model: may_come.wait(300) and about_html(model))
    page = open_page(serve_model(forgetful))
    box = page.locator("#text textarea")
    try:
        expect(box).to_be_visible()
        expect(box).to_be_disabled()
    finally:
        may_come.set()
    ask(page, "plum and pear")
    expect(box).to_have_value("plum and pear")


def test_a_changed_answer_is_told_and_each_voice_stands_by_its_classes(page, forgetful, text):
    said = forgetful.explain(text)
    assert what_happened(said).startswith(f"Retrieval changed {said.student_label} → {said.label}: ")
    expect(page.locator("#answer .happened")).to_have_text(what_happened(said))
    order = sorted(range(3), key=lambda number: -said.probabilities[number])
    for column, voice in ((1, said.student_probabilities), (2, said.retrieved), (4, said.probabilities)):
        expect(page.locator(f"{BARS} > :nth-child({column + 1}) > span")).to_have_text(figures(voice[order]))


def test_the_parts_of_the_bar_are_as_long_as_the_answer_is_likely(page, forgetful, text):
    said = forgetful.explain(text)
    number = list(said.classes).index(said.label)
    stack = page.locator("#answer .chosen .stack")
    parts = [part.bounding_box()["width"] for part in stack.locator("i").all()]
    assert len(parts) == 1 + sum(neighbour.soft_labels[number] > 0.01 for neighbour in said.neighbours)
    whole = stack.bounding_box()["width"]
    assert sum(parts) == pytest.approx(said.probabilities[number] * whole, abs=2)
    student = (1 - said.memory_weights[number]) * said.student_probabilities[number]
    assert parts[0] == pytest.approx(student * whole, abs=1)


def test_each_neighbour_has_its_similarity_weight_and_share(page, forgetful, text):
    for row, neighbour in zip(page.locator(CELLS).all(), forgetful.explain(text).neighbours, strict=True):
        cells = [cell.inner_text() for cell in row.locator("td").all()]
        assert cells[:3] == [str(neighbour.rank), neighbour.text, neighbour.label]
        assert cells[5:8] == [f"{neighbour.similarity:.3f}", f"{neighbour.weight:.3f}", f"{neighbour.share:.1%}"]


def test_the_temperature_alone_moves_weights_and_answer(page, forgetful, text):
    flat = forgetful.explain(text, temperature=0.5)
    weights = [f"{neighbour.weight:.3f}" for neighbour in flat.neighbours]
    assert weights != [f"{neighbour.weight:.3f}" for neighbour in forgetful.explain(text).neighbours]
    page.locator("#temperature input[type=number]").fill("0.5")
    expect(page.locator(f"{CELLS} td:nth-child(7)")).to_have_text(weights)
    expect(page.locator("#answer .answer")).to_contain_text(f"{flat.probabilities.max():.2f}")


def test_the_answer_follows_while_one_types(page, forgetful):
    box = page.locator("#text textarea")
    box.fill("")
    box.press_sequentially("rain and plum", delay=30)
    expect(page.locator("#answer .asked")).to_have_text("rain and plum")
    expect(page.locator("#answer .happened")).to_have_text(what_happened(forgetful.explain("rain and plum")))


def test_a_struck_out_memory_changes_the_answer(page, forgetful, text):
    before = forgetful.explain(text)
    first = before.neighbours[0].number
    without = explain_what_if(forgetful, AskedText.of(forgetful, text), forgetful.retrieval, Strikes((first,), {}))
    expect(page.locator("#answer .sum")).to_contain_text(f"{before.probabilities.max():.3f} = ")
    page.locator(f"[data-strike='{first}']").click()
    expect(page.locator("#answer .sum")).to_contain_text(f"{without.probabilities.max():.3f} = ")
    expect(page.locator("#answer .happened")).to_have_text(what_happened(without))


def test_sliders_and_strikes_move_the_answer_beside_too(page, forgetful, text):
    edit = f"{text} plum"
    page.locator("#beside-it button").first.click()
    expect(page.locator("#edited textarea")).to_have_value(text)
    page.locator("#edited textarea").fill(edit)
    expect(page.locator("#beside .asked")).to_have_text(edit)
    page.locator("#weight input[type=number]").fill("0.9")
    moved = forgetful.explain(edit, retrieval_weight=0.9)
    expect(page.locator("#beside .sum")).to_contain_text(f"{moved.probabilities.max():.3f} = 0.10 × ")
    nearest = forgetful.explain(text).neighbours[0].number
    page.locator(f"[data-strike='{nearest}']").click()
    expect(page.locator("#thought")).not_to_be_empty()
    retrieval = replace(forgetful.retrieval, retrieval_weight=0.9, gate=None)
    without = explain_what_if(forgetful, AskedText.of(forgetful, edit), retrieval, Strikes((nearest,), {}))
    expect(page.locator("#beside .sum")).to_contain_text(f"{without.probabilities.max():.3f} = ")


def test_the_address_reopens_what_is_thought_away_and_the_edit_beside(page, open_page, forgetful, text):
    edit = f"{text} plum & pear"
    first, second = (neighbour.number for neighbour in forgetful.explain(text).neighbours[:2])
    other = next(name for name in forgetful.classes_ if name != forgetful.memory.rows["label"].iloc[second])
    page.locator(f"[data-strike='{first}']").click()
    expect(page.locator("#thought li")).to_have_count(1)
    page.locator(f"[data-relabel='{second}']").select_option(str(other))
    expect(page.locator("#thought li")).to_have_count(2)
    page.locator("#beside-it button").first.click()
    expect(page.locator("#edited textarea")).to_have_value(text)
    page.locator("#edited textarea").fill(edit)
    expect(page.locator("#beside .asked")).to_have_text(edit)
    page.wait_for_function(
        "['edited', 'struck', 'relabelled'].every(part => new URLSearchParams(location.search).has(part))"
        " && new URLSearchParams(location.search).get('edited').endsWith('pear')"
    )
    again, strikes = open_page(page.url), Strikes((first,), {second: str(other)})
    for seen in (page, again):
        expect(seen.locator("#edited textarea")).to_have_value(edit)
        for place, asked in (("answer", text), ("beside", edit)):
            said = explain_what_if(forgetful, AskedText.of(forgetful, asked), forgetful.retrieval, strikes)
            expect(seen.locator(f"#{place} .asked")).to_have_text(asked)
            expect(seen.locator(f"#{place} .sum")).to_contain_text(f"{said.probabilities.max():.3f} = ")
        expect(seen.locator(f"[data-strike='{first}']")).to_have_count(0)
        expect(seen.locator(f"[data-relabel='{second}']")).to_have_value(str(other))
    again.locator("#put-back").click()
    expect(again.locator("#answer .sum")).to_contain_text(f"{forgetful.explain(text).probabilities.max():.3f} = ")
    again.locator("#beside-it button").first.click()
    again.wait_for_function("!/edited|struck|relabelled/.test(location.search)")


@pytest.mark.parametrize("wrong", ["struck=0-99999", 'relabelled={"0":"nowhere"}', 'relabelled={"9999":"x"}'])
def test_of_what_a_link_thinks_away_all_that_cannot_be_is_left_out(open_page, address, forgetful, wrong):
    page = open_page(f"{address}?text=iron+and+rain&{wrong}")
    expect(page.locator("#answer .asked")).to_have_text("iron and rain")
    probability = forgetful.explain("iron and rain").probabilities.max()
    expect(page.locator("#answer .sum")).to_contain_text(f"{probability:.3f} = ")
    expect(page.locator("#thought")).to_be_empty()
    expect(page.locator("#put-back")).to_be_hidden()


def test_either_text_of_a_pair_can_be_edited(open_page, serve_model, forgetful):
    parts, rows, memory = forgetful.parts, forgetful.parts.evaluation_rows, forgetful.memory
    pairs = memory.rows.assign(text_pair=memory.rows["text"].iloc[::-1].tolist())
    model = ReAugKDClassifier(
        replace(
            parts,
            settings=replace(parts.settings, is_pair=True),
            knowledge_base=KnowledgeBase(pairs, memory.embeddings, memory.soft_labels),
            evaluation_rows=rows.assign(text_pair=rows["text"]),
        )
    )
    page = open_page(serve_model(model))
    expect(page.locator(BARS).first).to_be_visible()
    page.locator("#beside-it button").first.click()
    first = page.locator("#edited textarea")
    expect(first).not_to_have_value("")
    kept = first.input_value()
    page.locator("#edited-pair textarea").fill("plum and pear")
    expect(page.locator("#beside .asked")).to_have_text(f"{kept} | plum and pear")
    expect(page.locator("#beside .answer b")).to_have_text(model.explain((kept, "plum and pear")).label)


def test_the_gate_is_asked_or_not_as_its_box_says(open_page, serve_model, forgetful, toy_model, text):
    gate = toy_model.retrieval.gate
    model = ReAugKDClassifier(replace(forgetful.parts, retrieval=replace(forgetful.retrieval, gate=gate)))
    page = open_page(serve_model(model))
    expect(page.locator(BARS).first).to_be_visible()
    ask(page, text)
    by_gate = model.explain(text).retrieval.retrieval_weight
    expect(page.locator("#answer .sum")).to_contain_text(f"= {1 - by_gate:.2f} × ")
    page.locator("#weight input[type=number]").fill("0.6")
    expect(page.locator("#answer .sum")).to_contain_text("= 0.40 × ")
    page.locator("#by-gate input").check()
    expect(page.locator("#answer .sum")).to_contain_text(f"= {1 - by_gate:.2f} × ")
    expect(page.locator("#weight input[type=number]")).to_have_value(f"{by_gate:.2g}")
