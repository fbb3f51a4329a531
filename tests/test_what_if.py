"""A memory thought away is as good as removed, and the smallest set that flips an answer is the smallest."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from reaugkd.errors import ReAugKDError
from reaugkd.inference import ReAugKDClassifier
from reaugkd.patch import Edit, apply_patch
from reaugkd.retrieval import RetrievalSettings
from reaugkd.what_if import AskedText, Strikes, explain_what_if, flipping_set

SETTINGS = RetrievalSettings(5, 0.8, 0.1)


@pytest.fixture
def asked(toy_model, toy_task):
    return AskedText.of(toy_model, toy_task.texts("test")[4])


def removed(model, numbers):
    ids = model.parts.knowledge_base.rows["id"]
    return apply_patch(model, tuple(Edit("remove", ids[number]) for number in numbers))


def answer_without(model, asked, settings, numbers):
    overrides = {"k": settings.k, "retrieval_weight": settings.retrieval_weight, "temperature": settings.temperature}
    return removed(model, numbers).explain(asked.text, **overrides)


def test_nothing_thought_away_is_the_plain_answer(toy_model, asked):
    plain = toy_model.explain(asked.text, k=5, retrieval_weight=0.8, temperature=0.1)
    found = explain_what_if(toy_model, asked, SETTINGS, Strikes())
    np.testing.assert_allclose(found.probabilities, plain.probabilities, atol=1e-6)
    assert [neighbour.number for neighbour in found.neighbours] == [n.number for n in plain.neighbours]


def test_a_struck_memory_is_as_good_as_removed(toy_model, asked):
    first = explain_what_if(toy_model, asked, SETTINGS, Strikes()).neighbours
    struck = [first[0].number, first[3].number]
    found = explain_what_if(toy_model, asked, SETTINGS, Strikes(struck))
    wanted = answer_without(toy_model, asked, SETTINGS, struck)
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, atol=1e-6)
    assert [neighbour.id for neighbour in found.neighbours] == [neighbour.id for neighbour in wanted.neighbours]
    assert len(found.neighbours) == 5


def test_the_last_memory_is_not_thought_away(toy_model, asked):
    everything = Strikes(range(len(toy_model.memory)))
    with pytest.raises(ReAugKDError, match="Without any memory there is nothing to look up; leave at least one"):
        explain_what_if(toy_model, asked, SETTINGS, everything)
    with pytest.raises(ReAugKDError, match="Without any memory"):
        flipping_set(toy_model, asked, SETTINGS, everything)


def test_a_relabelled_memory_votes_as_if_it_had_been_relabelled_for_good(toy_model, asked):
    nearest = explain_what_if(toy_model, asked, SETTINGS, Strikes()).neighbours[1]
    other = next(name for name in toy_model.classes_ if name != nearest.label)
    found = explain_what_if(toy_model, asked, SETTINGS, Strikes(relabelled={nearest.number: other}))
    edited = apply_patch(toy_model, (Edit("relabel", nearest.id, other),))
    wanted = edited.explain(asked.text, k=5, retrieval_weight=0.8, temperature=0.1)
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, atol=1e-6)
    assert found.neighbours[1].label == other
    assert sum(neighbour.share for neighbour in found.neighbours) + found.student_share == pytest.approx(1.0)


def contested(model, asked, votes):
    """The model with the nearest memories of a text voting as named, and all others for the last class."""
    nearest = [n.number for n in explain_what_if(model, asked, RetrievalSettings(8, 1.0, 0.1), Strikes()).neighbours]
    soft_labels = np.tile(np.eye(3, dtype=np.float32)[2], (len(model.memory), 1))
    soft_labels[nearest[: len(votes)]] = np.eye(3)[votes]
    base = replace(model.parts.knowledge_base, soft_labels=soft_labels)
    return ReAugKDClassifier(replace(model.parts, knowledge_base=base))


@pytest.mark.parametrize(("votes", "size"), [([0, 1, 1, 1], 2), ([0, 0, 0, 1, 1], 2), ([0, 0, 0, 0, 0, 0], 4)])
def test_no_smaller_set_of_one_or_two_flips_the_answer_and_none_of_a_larger_can_be_left_out(
    toy_model, asked, votes, size
):
    model, settings = contested(toy_model, asked, votes), RetrievalSettings(5, 1.0, 10.0)
    answer = explain_what_if(model, asked, settings, Strikes()).label
    numbers, new = flipping_set(model, asked, settings)
    assert new != answer
    assert explain_what_if(model, asked, settings, Strikes(numbers)).label == new
    for fewer in combinations(numbers, len(numbers) - 1):
        assert explain_what_if(model, asked, settings, Strikes(fewer)).label == answer
    if len(numbers) <= 2:
        nearest = [n.number for n in explain_what_if(model, asked, settings, Strikes()).neighbours]
        for smaller in range(1, len(numbers)):
            for some in combinations(nearest, smaller):
                assert explain_what_if(model, asked, settings, Strikes(some)).label == answer
    assert len(numbers) <= size


def smallest_flipping_size(model, asked, settings, strikes):
    """By trying every set of up to two of the neighbours that are left, each by the answer itself."""
    plain = explain_what_if(model, asked, settings, strikes)
    for size in (1, 2):
        for some in combinations([neighbour.number for neighbour in plain.neighbours], size):
            beyond = Strikes((*strikes.struck, *some), strikes.relabelled)
            if explain_what_if(model, asked, settings, beyond).label != plain.label:
                return size
    return None


@pytest.mark.parametrize(
    ("struck", "relabelled", "size"),
    [((), {}, 1), ((0,), {}, 1), ((), {0: 1}, 2), ((), {3: 0}, None), ((0, 1), {}, 2), ((4,), {1: 1}, 1)],
)
def test_what_is_thought_away_already_counts_in_the_set_that_flips_the_answer(
    toy_model, asked, struck, relabelled, size
):
    votes = [0, 0, 0, 1, 1, 1, 0, 1]
    model, settings = contested(toy_model, asked, votes), RetrievalSettings(5, 1.0, 10.0)
    near = [n.number for n in explain_what_if(model, asked, RetrievalSettings(8, 1.0, 0.1), Strikes()).neighbours]
    named = {near[place]: str(model.classes_[vote]) for place, vote in relabelled.items()}
    strikes = Strikes([near[place] for place in struck], named)
    numbers, new = flipping_set(model, asked, settings, strikes)
    assert not set(numbers) & set(strikes.struck)
    assert explain_what_if(model, asked, settings, Strikes([*strikes.struck, *numbers], named)).label == new
    assert new != explain_what_if(model, asked, settings, strikes).label
    wanted = smallest_flipping_size(model, asked, settings, strikes)
    assert wanted == size
    assert len(numbers) == wanted if wanted else len(numbers) > 2


def test_without_strikes_the_set_is_that_of_the_whole_memory(toy_model, asked):
    model, settings = contested(toy_model, asked, [0, 0, 0, 1, 1]), RetrievalSettings(5, 1.0, 10.0)
    assert flipping_set(model, asked, settings) == flipping_set(model, asked, settings, Strikes())


def test_an_answer_that_the_memory_has_no_part_in_is_flipped_by_no_set(toy_model, asked):
    assert flipping_set(toy_model, asked, RetrievalSettings(5, 0.0, 0.1)) is None
