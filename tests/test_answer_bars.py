"""An answer in a sentence and in bars that add up."""

import re
from dataclasses import replace

import numpy as np
import pytest

from reaugkd.answer_bars import answer_bars, parts, what_happened
from reaugkd.patch import Edit, apply_patch


@pytest.fixture
def explanation(toy_model):
    return toy_model.explain("iron and pear", k=5, retrieval_weight=0.4, temperature=0.2)


def test_the_parts_of_every_class_add_up_to_its_probability(explanation):
    for number, probability in enumerate(explanation.probabilities):
        of_student, of_memory = parts(explanation, number)
        assert of_student + of_memory.sum() == pytest.approx(probability, abs=1e-12)


def test_the_stacked_bar_is_as_long_as_the_probability_it_shows(explanation):
    rows = re.findall(r'<div class="stack">(.*?)</div><span>(.*?)</span>', answer_bars(explanation))
    assert len(rows) == len(explanation.classes)
    for bar, said in rows:
        width = sum(float(part) for part in re.findall(r"width:([\d.]+)%", bar))
        assert width / 100 == pytest.approx(float(said), abs=0.011)


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
