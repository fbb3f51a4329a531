"""An answer in a sentence and in bars that add up."""

import re
from dataclasses import replace

import numpy as np
import pytest

from reaugkd.answer_bars import answer_bars, parts, what_happened
from reaugkd.patch import Edit, apply_patch
from reaugkd.retrieval import RetrievalSettings, weighed


@pytest.fixture
def with_gadget(gadget_model):
    """Half of its neighbours are of a class that the student does not know, so all kinds of terms are there."""
    return gadget_model.explain("iron and gadget", k=8, retrieval_weight=0.4, temperature=0.2)


@pytest.fixture
def explanation(toy_model):
    return toy_model.explain("iron and pear", k=5, retrieval_weight=0.4, temperature=0.2)


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
def test_the_parts_of_every_class_add_up_to_its_probability(explanation, gadget_model, weight):
    for answer in (explanation, gadget_model.explain("iron and gadget", k=8, retrieval_weight=weight)):
        for number, probability in enumerate(answer.probabilities):
            of_student, of_memory = parts(answer, number)
            assert of_student + of_memory.sum() == pytest.approx(probability, abs=1e-12)


def test_the_stacked_bar_is_as_long_as_the_probability_it_shows(explanation, with_gadget):
    for answer in (explanation, with_gadget):
        rows = re.findall(r'<div class="stack">(.*?)</div><span>(.*?)</span>', answer_bars(answer))
        assert len(rows) == len(answer.classes)
        for bar, said in rows:
            width = sum(float(part) for part in re.findall(r"width:([\d.]+)%", bar))
            assert width / 100 == pytest.approx(float(said), abs=0.011)


def test_the_students_column_is_the_students_own_and_a_dash_where_it_does_not_know_the_class(with_gadget):
    rows = re.findall(r"<th>(\w+)</th><td>(.*?)</td>", answer_bars(with_gadget))
    shown = {name: re.search("<span>(.*)</span>", cell).group(1) for name, cell in rows}
    own = with_gadget.student_probabilities
    assert shown == {name: f"{value:.2f}" for name, value in zip(with_gadget.classes, own, strict=False)} | {
        "gadget": "&ndash;"
    }


def of_two_kinds(gadget_model):
    """A known class wins, though the second nearest memory is of one that the student does not know."""
    memory, retrieval = gadget_model.memory, RetrievalSettings(2, 0.4, 0.2)
    numbers = np.asarray([[0, len(memory) - 1]])
    found = weighed(memory, np.asarray([[0.9, 0.6]], dtype=np.float32), numbers, 0.2, known=3)
    student = np.roll([0.1, 0.8, 0.1], int(memory.soft_labels[0].argmax()) - 1)
    return gadget_model.explain_retrieved("", np.zeros(2, dtype=np.float32), student, retrieval, found)


def test_the_sum_under_the_bars_is_true(explanation, with_gadget, gadget_model):
    answers = [explanation, with_gadget, gadget_model.explain("the shiny gadget hums", k=4, retrieval_weight=0.4)]
    answers.append(of_two_kinds(gadget_model))
    kinds = set()
    for answer in answers:
        said = re.search('class="sum">(.*)</p>', answer_bars(answer)).group(1)
        total, terms = re.sub(r"\([^)]*\)", "", said.split(": ")[1]).split(" = ")
        assert eval(terms.replace("×", "*")) == pytest.approx(float(total), abs=0.006)
        kinds.add((answer.memory_alone, "leaves" in said))
    assert kinds == {(False, False), (False, True), (True, False)}


def test_the_teacher_stands_beside_where_it_is_known(explanation):
    teacher = np.asarray([0.125, 0.25, 0.625])
    bars = re.findall(r'bar teacher"><i style="width:([\d.]+)%', answer_bars(explanation, teacher))
    order = np.argsort(-explanation.probabilities, kind="stable")
    assert [float(bar) for bar in bars] == [12.5 if i == 0 else 25.0 if i == 1 else 62.5 for i in order]
    assert "teacher" not in answer_bars(explanation)


def changed(explanation, student, retrieved, weight):
    combined = (1 - weight) * np.asarray(student) + weight * np.asarray(retrieved)
    return replace(
        explanation,
        label=explanation.classes[int(combined.argmax())],
        student_probabilities=np.asarray(student),
        student_vote=np.asarray(student),
        retrieved=np.asarray(retrieved),
        probabilities=combined,
        memory_weights=np.full(3, weight),
        neighbours=[replace(n, soft_labels=np.asarray(retrieved)) for n in explanation.neighbours],
    )


def test_the_sentence_says_what_the_memory_did(explanation):
    first, second, _ = explanation.classes
    flipped = changed(explanation, [0.6, 0.4, 0], [0.1, 0.9, 0], 0.8)
    assert what_happened(flipped) == f"Retrieval changed {first} → {second}: 5 of 5 neighbours, weight 0.80."
    agreed = changed(explanation, [0.6, 0.4, 0], [0.9, 0.1, 0], 0.8)
    assert what_happened(agreed) == f"Student and memory agree on {first}: 5 of 5 neighbours, weight 0.80."
    stood = changed(explanation, [0.6, 0.4, 0], [0.1, 0.9, 0], 0.1)
    assert f"The memory says {second} (5 of 5 neighbours)" in what_happened(stood)
    assert f"the student's {first} stands" in what_happened(stood)
    alone = changed(explanation, [0.6, 0.4, 0], [0.1, 0.9, 0], 0.0)
    assert what_happened(alone).startswith("The memory has no say here")


def test_of_a_class_that_the_student_does_not_know_the_sentence_says_that_the_memory_alone_names_it(gadget_model):
    answer = gadget_model.explain("the shiny gadget hums", k=2, retrieval_weight=0.4)
    assert answer.label == "gadget"
    said = "The student does not know gadget: the memory alone names it, 2 of 2 neighbours; "
    said += "the 2 nearest decide about new classes."
    assert what_happened(answer) == said
    only = gadget_model.explain("the shiny gadget hums", k=1, retrieval_weight=0.4)
    assert what_happened(only) == "The student does not know gadget: the memory alone names it, 1 of 1 neighbours."


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0, None])
def test_the_parts_of_a_class_that_was_added_add_up_too(toy_model, weight):
    text = "the shiny new gadget hums"
    edited = apply_patch(toy_model, (Edit("add", "mine", "gadget", text),))
    explanation = edited.explain(text, k=5, retrieval_weight=weight)
    for number, probability in enumerate(explanation.probabilities):
        of_student, of_memory = parts(explanation, number)
        assert of_student + of_memory.sum() == pytest.approx(probability, abs=1e-12)
    shares = sum(neighbour.share for neighbour in explanation.neighbours)
    assert shares + explanation.student_share == pytest.approx(1)


def test_names_are_shown_as_text(explanation):
    nasty = replace(explanation, classes=("<b>${x}", *explanation.classes[1:]), label=explanation.classes[1])
    assert "<b>" not in answer_bars(nasty)
    assert "${" not in answer_bars(nasty)
