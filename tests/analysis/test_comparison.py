"""Two ways of answering are told apart as one would by hand, and only over the same rows and classes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reaugkd.analysis.comparison import (
    OUTCOMES,
    Comparison,
    check_comparable,
    compare,
    compare_models,
    comparison_in_words,
)
from reaugkd.analysis.edits import Edit, apply_patch
from reaugkd.errors import ReAugKDError
from reaugkd.measures.metrics import Interval
from reaugkd.method.answers import Answers, EncodedTexts, changed_answers
from reaugkd.method.memory import Memory
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.texts import texts_of

NAMES = ("a", "b", "c")


def answered(said, labels="aaaabbbcc", sure=0.75, names=NAMES, **columns):
    """Answers that name these classes, each with this probability, to rows of these gold labels."""
    count, classes = len(labels), len(names)
    rows = pd.DataFrame({"text": [f"text {n}" for n in range(count)], "label": list(labels), "n": range(count)})
    rows = rows.assign(**columns)
    texts = texts_of(rows, "text_pair" in columns)
    probabilities = np.full((count, classes), (1 - sure) / (classes - 1))
    probabilities[np.arange(count), [names.index(name) for name in said]] = sure
    student = probabilities.astype(np.float32)
    encoded = EncodedTexts(texts, np.zeros((count, 1), np.float32), student, {}, rows)
    memory = Memory(pd.DataFrame({"text": ["a memory"]}), tuple(names), np.eye(1, classes), np.ones((1, 1)), {})
    return Answers(encoded, memory, Pool({"aligned": KeySettings()}), {})


# Gold is aaaabbbcc. Both are right on rows 0, 1, 4, 7; only the first on 2, 5; only the second on 3; both wrong on 6
# (the same answer) and 8 (other answers).
FIRST, SECOND = "aaabbbaca", "aababcacb"


@pytest.fixture
def by_hand():
    return compare(answered(FIRST), answered(SECOND, sure=0.5), "accuracy")


def test_scores_counts_and_outcomes_are_those_counted_by_hand(by_hand):
    assert by_hand.scores == (pytest.approx(6 / 9), pytest.approx(5 / 9))
    assert by_hand.counts == dict(zip(OUTCOMES, (4, 2, 1, 2), strict=True))
    both, first, second, neither = OUTCOMES
    wanted = [both, both, first, second, both, first, neither, both, neither]
    assert by_hand.table["outcome"].tolist() == wanted
    assert by_hand.table["differs"].tolist() == [one != other for one, other in zip(FIRST, SECOND, strict=True)]
    assert by_hand.differing == 4
    assert by_hand.both_wrong_differently == 1


def test_the_table_holds_what_both_said_of_every_row(by_hand):
    assert by_hand.table.columns.tolist() == [
        "text",
        "label",
        "first",
        "second",
        "first_probability",
        "second_probability",
        "outcome",
        "differs",
        "n",
    ]
    assert "".join(by_hand.table["first"]) == FIRST
    assert "".join(by_hand.table["second"]) == SECOND
    np.testing.assert_allclose(by_hand.table["first_probability"], 0.75)
    np.testing.assert_allclose(by_hand.table["second_probability"], 0.5)


def test_calibration_errors_are_the_gaps_of_the_one_bin_in_which_all_rows_lie(by_hand):
    assert by_hand.calibration_errors == (pytest.approx(abs(6 / 9 - 0.75)), pytest.approx(abs(5 / 9 - 0.5)))


def test_the_p_value_is_a_fair_coin_over_the_rows_on_which_one_alone_is_right():
    # Six heads of six tosses, both sides: 2 / 2^6.
    found = compare(answered("aaaaaaaa", labels="aaaaaaaa"), answered("bbbbbbaa", labels="aaaaaaaa"), "accuracy")
    assert found.p_value == pytest.approx(2 / 64)


def test_the_interval_is_near_the_normal_one_and_of_the_first_less_the_second():
    random = np.random.default_rng(0)
    labels = random.choice(list(NAMES), 800)
    said = [np.where(random.random(800) < share, labels, "a") for share in (0.9, 0.8)]
    found = compare(answered(list(said[0]), labels), answered(list(said[1]), labels), "accuracy")
    gaps = (said[0] == labels).astype(float) - (said[1] == labels).astype(float)
    half = 1.96 * stats.sem(gaps)
    assert found.difference.mean == pytest.approx(gaps.mean())
    assert found.difference.low == pytest.approx(gaps.mean() - half, abs=0.2 * half)
    assert found.difference.high == pytest.approx(gaps.mean() + half, abs=0.2 * half)


def test_answers_that_are_the_same_are_level():
    found = compare(answered(FIRST), answered(FIRST), "macro_f1")
    assert found.difference == Interval(0, 0, 0)
    assert (found.p_value, found.differing) == (1, 0)


def test_pairs_keep_their_second_text():
    pairs = {"text_pair": [f"pair {number}" for number in range(9)]}
    found = compare(answered(FIRST, **pairs), answered(SECOND, **pairs), "accuracy")
    assert found.table.columns[:3].tolist() == ["text", "text_pair", "label"]
    assert found.table["text_pair"].tolist() == pairs["text_pair"]


@pytest.mark.parametrize("turned", [False, True])
def test_of_classes_that_came_later_the_longer_list_counts(turned):
    new = answered("aaabbbacd", names=(*NAMES, "d"))
    sides = (new, answered(SECOND)) if turned else (answered(SECOND), new)
    found = compare(*sides, "accuracy")
    assert "".join(found.table["first" if turned else "second"]) == "aaabbbacd"
    assert "".join(found.table["second" if turned else "first"]) == SECOND
    assert found.scores[not turned] == pytest.approx(6 / 9)


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        (answered("xxxxxxxxx", names=("x", "y")), "The first has the classes a, b, c, the second x, y"),
        (answered(SECOND, names=("b", "a", "c")), "the second b, a, c; compare two models of one task"),
        (
            answered("aab", labels="aab"),
            "The first answers 9 rows, the second 3, and their texts or labels are not the",
        ),
        (answered(SECOND, labels="aaaabbbca"), "their texts or labels are not the same; compare both over the same"),
        (answered(SECOND, text=["other"] * 9), "their texts or labels are not the same; compare both over the same"),
        (
            answered(SECOND, text_pair=["pair"] * 9),
            "their texts or labels are not the same; compare both over the same",
        ),
    ],
)
def test_other_classes_or_rows_are_refused_with_one_sentence(second, sentence):
    with pytest.raises(ReAugKDError, match=sentence) as error:
        compare(answered(FIRST), second, "accuracy")
    assert "\n" not in str(error.value)


def test_of_many_classes_the_sentence_names_a_few():
    names = tuple(f"class {number}" for number in range(77))
    with pytest.raises(
        ReAugKDError, match="class 0, class 1, class 2, class 3, class 4, class 5, …, the second a, b, c"
    ):
        compare(answered([names[0]], labels=[names[0]], names=names), answered("a", labels="a"), "accuracy")


# Real models


def test_a_models_answers_are_set_beside_its_own_students(pooled_model):
    answers = pooled_model.answer(pooled_model.encode_rows(pooled_model.held_out(["test"])))
    found = compare(answers.at(1.0), answers.at(0.0), pooled_model.settings.metric)
    texts = answers.encoded.texts
    assert found.table["first"].tolist() == pooled_model.predict(texts, retrieval_weight=1.0).tolist()
    assert found.table["second"].tolist() == pooled_model.predict(texts, retrieval_weight=0.0).tolist()
    assert len(found.table) == len(texts)


@pytest.mark.parametrize("turned", [False, True])
def test_the_rows_that_differ_are_those_that_an_edit_changes(pooled_model, turned):
    first, second = pooled_model.classes_[:2]
    rows = pooled_model.memory.rows
    patch = [Edit("relabel", name, second) for name in rows.loc[rows["label"] == first, "id"]]
    edited = apply_patch(pooled_model, (*patch, Edit("add", "mine", "gadget", "the shiny gadget hums")))
    encoded = pooled_model.encode_rows(pooled_model.held_out(["test"]))
    before, after = (model.answer(encoded, model.pool.overridden(4, 1.0)) for model in (pooled_model, edited))
    changed = changed_answers(before, after)
    table = compare(*((after, before) if turned else (before, after)), "accuracy").table
    assert len(changed)
    assert table[table["differs"]]["id"].tolist() == changed["id"].tolist()
    assert table[table["differs"]]["first" if turned else "second"].tolist() == changed["after"].tolist()


def test_models_of_one_task_can_be_compared_and_others_cannot(toy_model):
    settings = toy_model.settings
    edited = apply_patch(toy_model, (Edit("add", "mine", "gadget", "the shiny gadget hums"),))
    check_comparable(toy_model, edited)
    check_comparable(edited, toy_model)
    pairs = replace(toy_model, settings=replace(settings, is_pair=True))
    with pytest.raises(ReAugKDError, match="The first model takes single texts, the second pairs of texts"):
        check_comparable(toy_model, pairs)
    numbered = dict(zip(toy_model.classes_, "xyz", strict=True))
    rows = toy_model.memory.rows.assign(label=toy_model.memory.rows["label"].map(numbered))
    memory = replace(toy_model.memory, rows=rows, classes=("x", "y", "z"))
    with pytest.raises(ReAugKDError, match="the second x, y, z; compare two models of one task"):
        check_comparable(toy_model, replace(toy_model, memory=memory))


# Words


def in_words(outcomes, mean=0.0, low=0.0, high=0.0, p_value=1.0, differs=None, **which):
    differs = [name in OUTCOMES[1:3] for name in outcomes] if differs is None else differs
    table = pd.DataFrame({"outcome": outcomes, "differs": differs})
    return comparison_in_words(
        Comparison((0.885, 0.875), Interval(mean, low, high), p_value, (0.042, 0.081), table), "macro_f1", **which
    )


def test_the_side_that_is_ahead_has_a_positive_lead():
    assert in_words(["both right"] * 1_234, 0.01, -0.005, 0.025)[0] == (
        "Macro f1, percent of 1,234 rows: first 88.5, second 87.5; the first is ahead by 1.0 points (95 % interval of "
        "the first's lead: -0.5 to 2.5)."
    )
    assert in_words(["both right"], -0.01, -0.025, 0.005)[0].endswith(
        "the second is ahead by 1.0 points (95 % interval of the second's lead: -0.5 to 2.5)."
    )
    assert "percent of 2 rows of the moon: first" in in_words(["both right"] * 2, which="rows of the moon")[0]
    level = in_words(["both right"], 0.0001, -0.002, 0.002)[0]
    assert level.endswith("they are level (95 % interval of the first's lead: -0.2 to 0.2).")


def test_the_p_value_is_said_as_how_often_chance_does_the_same():
    rows = ["both right", "only first right", "only first right", "only second right"]
    said = in_words(rows, p_value=0.7266)[1]
    assert said.startswith("They answer 3 rows differently. Only the first is right on 2, only the second on 1: ")
    assert "in 73 of 100 cases (McNemar's exact test, p = 0.727), so these rows do not show" in said
    said = in_words(rows, p_value=0.0042)[1]
    assert "in 4 of 1,000 cases (McNemar's exact test, p = 0.004), which is rare" in said
    assert "in fewer than 1 of 1,000 cases (McNemar's exact test, p < 0.001)" in in_words(rows, p_value=1e-9)[1]


def test_where_nothing_tells_the_two_apart_no_test_is_quoted():
    assert in_words(["both right"])[1] == "They answer every row alike."
    assert "They answer 1 row differently, but on none" in in_words(["both wrong"], differs=[True])[1]


def test_calibration_is_said_in_points():
    assert "by 4.2 points for the first and 8.1 for the second" in in_words(["both right"])[2]


def test_several_models_are_compared_with_the_first_over_its_rows(toy_model, pooled_model, gadget_model):
    models = {"first": toy_model, "second": pooled_model, "edited": gadget_model}
    found = compare_models(models, "validation").set_index("model")
    rows = toy_model.held_out(["validation"])
    gold, right = rows["label"].to_numpy(), {}
    for name, model in models.items():
        probabilities = model.predict_proba(rows["text"].tolist())
        right[name] = model.classes_[probabilities.argmax(axis=1)] == gold
        at_gold = probabilities[np.arange(len(gold)), [model.classes_.tolist().index(label) for label in gold]]
        assert found["score"][name] == right[name].mean()
        assert found["log_loss"][name] == pytest.approx(-np.log(at_gold).mean())
        assert found["low"][name] <= found["score"][name] <= found["high"][name]
        assert found["milliseconds"][name] > 0
    for name in models:
        assert found["difference"][name] == pytest.approx(right[name].mean() - right["first"].mean())
    with pytest.raises(ReAugKDError, match="There is no model to compare"):
        compare_models({})
    pairs = replace(toy_model, settings=replace(toy_model.settings, is_pair=True))
    with pytest.raises(ReAugKDError, match="compare two models of one task"):
        compare_models({"first": toy_model, "pairs": pairs})
