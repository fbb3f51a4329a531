"""What can be classified, and which texts are siblings."""

import numpy as np
import pandas as pd
import pytest
from memories import memory_of

from reaugkd import texts as module
from reaugkd.errors import ReAugKDError
from reaugkd.method.answers import EncodedTexts, answer
from reaugkd.method.choice import choose_linear, choose_pool
from reaugkd.texts import (
    are_siblings,
    as_text,
    check_label,
    check_text,
    check_texts,
    checked_table,
    copies_of,
    folds_apart,
    have_siblings,
    in_one_line,
    row_in_one_line,
    texts_of,
    two_parts,
    word_overlap,
    words_read,
)


def test_a_pair_and_a_text_come_apart_and_are_shown_alike():
    assert [two_parts(text) for text in ("one", ("one", "two"))] == [("one", ""), ("one", "two")]
    assert [in_one_line(text) for text in ("one", ("one", "two"))] == ["one", "one | two"]


def test_a_row_of_a_pair_is_shown_with_both_texts_and_one_without_a_second_as_one():
    rows = pd.DataFrame({"text": ["one", "three"], "text_pair": ["two", None]})
    for records in (rows.to_dict("records"), [row for _, row in rows.iterrows()]):
        assert [row_in_one_line(row) for row in records] == ["one | two", "three"]
    assert row_in_one_line({"text": "one"}) == "one"
    assert texts_of(rows, is_pair=True) == [("one", "two"), ("three", "")]
    assert texts_of(rows, is_pair=False) == ["one", "three"]


def test_a_text_that_is_refused_is_called_by_its_name():
    with pytest.raises(ReAugKDError, match="The second text is empty; write"):
        check_text(" ", "The second text")


@pytest.mark.parametrize(
    ("texts", "match"),
    [
        (["fine", "   "], "Text 2 is empty"),
        (["x" * 100_001], "Text 1 has 100,001 characters, more than 100,000"),
        ([("fine", "")], "Text 1 is empty"),
        ([("fine",)], "Text 1 is no text and no pair of texts"),
        ([("fine", "good", "more")], "Text 1 is no text and no pair of texts"),
        (["fine", "half \ud83d"], "Text 2 holds half a character, a lone surrogate; write it whole or take it out"),
        (["fine", 3], "Text 2 is a number, not a text; write it as text"),
    ],
)
def test_queries_that_cannot_be_answered_are_refused(texts, match):
    with pytest.raises(ReAugKDError, match=match):
        check_texts(texts)


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        ("Great!", "a single text"),
        (b"Great!", "bytes"),
        (pd.DataFrame({"text": ["one", "two"]}), "a table"),
        ({"text": "one"}, "names with values"),
        ({"one", "two"}, "a set"),
        ((text for text in ["one"]), "something else"),
        (None, "nothing"),
        (np.asarray("one"), "an array"),
        (np.asarray([["one", "two"]]), "an array"),
    ],
)
def test_what_is_no_list_of_texts_is_refused(texts, kind):
    with pytest.raises(ReAugKDError, match=f"Give a list of texts, not {kind}; name a table's column"):
        check_texts(texts)


def test_a_column_an_array_and_a_tuple_are_lists_of_texts():
    column = pd.Series(["one", "two"], index=[7, 3])
    assert all(check_texts(texts) == ["one", "two"] for texts in (column, column.to_numpy(), ("one", "two")))


def test_a_pair_that_is_a_list_becomes_a_tuple():
    assert check_texts([["one", "two"], ("three", "four")]) == [("one", "two"), ("three", "four")]


def test_a_value_is_written_as_text():
    assert [as_text(value) for value in (3.0, 2.5, 2**60, "naïve", "naïve".encode())] == [
        "3",
        "2.5",
        str(2**60),
        "naïve",
        "naïve",
    ]


def test_a_part_the_whole_and_the_same_words_are_siblings_and_a_shared_word_is_not():
    rows = pd.DataFrame({"text": ["A smart, witty follow-up to it", "witty", "smart film", "dull", "WITTY smart!"]})
    found = are_siblings(["smart, witty"], rows, np.asarray([[0, 1, 2, 3, 4]]))
    assert found.tolist() == [[True, True, False, False, True]]


def test_four_of_five_words_make_a_sibling_and_three_do_not():
    rows = pd.DataFrame({"text": ["one two three four other word here", "one two three other word here too"]})
    assert are_siblings(["one two three four five"], rows, np.asarray([[0, 1]])).tolist() == [[True, False]]


def test_of_pairs_the_words_of_both_texts_count():
    rows = pd.DataFrame({"text": ["red fox", "red fox"], "text_pair": ["blue sea", "green hill"]})
    assert are_siblings([("blue sea", "red fox")], rows, np.asarray([[0, 1]])).tolist() == [[True, False]]


def test_texts_without_a_word_are_siblings_of_their_like_only():
    rows = pd.DataFrame({"text": ["!!", "??"]})
    assert are_siblings(["!!"], rows, np.asarray([[0, 1]])).tolist() == [[True, False]]


def is_sibling_by_hand(text, other):
    words, others = (set(one.lower().split()) for one in (text, other))
    return len(words & others) >= 0.8 * min(len(words), len(others))


def random_texts(rows, seed):
    """Texts of one to six of twelve words, so that many are parts of others."""
    random = np.random.default_rng(seed)
    words = [f"word{number}" for number in range(12)]
    return [" ".join(random.choice(words, random.integers(1, 7), replace=False)) for _ in range(rows)]


@pytest.mark.parametrize("compared", [2**24, 1])
def test_near_copies_share_four_fifths_of_all_words_and_a_part_is_none(monkeypatch, compared):
    monkeypatch.setattr(module, "COMPARED", compared)
    said = ["a b c d e", "b c", "A, b, c, d!", "a b c d e f", "x", ("a b c", "d e")]
    assert copies_of(said).tolist() == [0, 1, 0, 0, 4, 0]
    assert copies_of(["a b c d", "a b c d e", "x a b c d e"]).tolist() == [0, 0, 0]  # by way of the second


@pytest.mark.parametrize("compared", [2**24, 7])
def test_a_text_has_siblings_where_any_of_the_others_is_one(monkeypatch, compared):
    monkeypatch.setattr(module, "COMPARED", compared)
    texts, others = random_texts(60, 0), random_texts(9, 1)
    wanted = [any(is_sibling_by_hand(text, other) for other in others) for text in texts]
    assert have_siblings(texts, others).tolist() == wanted
    assert 0 < sum(wanted) < 60
    rows = pd.DataFrame({"text": texts})
    numbers = np.tile(np.arange(60), (9, 1))
    np.testing.assert_array_equal(are_siblings(others, rows, numbers).any(axis=0), wanted)


def test_without_texts_or_others_none_has_siblings():
    assert have_siblings(["one"], []).tolist() == [False]
    assert have_siblings([], ["one"]).tolist() == []
    assert have_siblings([("red fox", "sea")], [("sea", "red fox")]).tolist() == [True]


def test_folds_are_of_like_size_alike_in_classes_and_keep_a_text_with_the_longest_that_holds_it():
    random = np.random.default_rng(2)
    wholes = [" ".join(random.choice([f"word{n}" for n in range(200)], 8, replace=False)) for _ in range(60)]
    texts = [part for whole in wholes for part in (whole, " ".join(whole.split()[:5]), " ".join(whole.split()[5:]))]
    labels = np.repeat(np.arange(60) % 3, 3)
    folds = folds_apart(texts, labels, 5)
    np.testing.assert_array_equal(folds.reshape(60, 3), np.repeat(folds[::3], 3).reshape(60, 3))
    assert np.bincount(folds).tolist() == [36] * 5
    for fold in range(5):
        assert np.bincount(labels[folds == fold]).tolist() == [12] * 3
    np.testing.assert_array_equal(folds_apart(texts, labels, 5), folds)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("labels", [[0] * 9 + [1], [0, 1] * 5, list(range(10)), [0] * 7 + [1, 2, 2]])
def test_rare_classes_are_put_into_folds_too(labels):
    texts = [f"text{number}" for number in range(10)]
    assert np.bincount(folds_apart(texts, np.asarray(labels), 5)).tolist() == [2] * 5


@pytest.mark.parametrize(("texts", "folds"), [(["one two"] * 6, 1), (["one", "two", "one"], 2)])
def test_there_are_no_more_folds_than_families(texts, folds):
    assert len(set(folds_apart(texts, np.zeros(len(texts), int), 5))) == folds


def sibling_rows():
    """Held-out rows of which each has a copy in the memory, right beside a stranger of the other class."""
    random = np.random.default_rng(0)
    labels = np.arange(200) % 2
    keys = random.normal(size=(200, 16))
    strangers = keys + 0.05 * random.normal(size=keys.shape)
    texts = [f"held out row {number}" for number in range(200)]
    others = [f"quite another thing {number} altogether" for number in range(200)]
    soft_labels = np.eye(2)[np.concatenate([labels, 1 - labels])]
    memory = memory_of(np.concatenate([keys, strangers]), soft_labels, texts=texts + others)
    says = np.where(random.random(200) < 0.75, labels, 1 - labels)
    student = np.where(np.arange(2) == says[:, None], 0.7, 0.3)
    return keys, student, labels, texts, memory


def encoded(keys, student, texts=None):
    texts = [f"new{number}" for number in range(len(keys))] if texts is None else texts
    return EncodedTexts(texts, np.zeros((len(keys), 2), "f4"), student.astype("f4"), {"aligned": keys.astype("f4")})


def test_a_memory_that_is_good_by_siblings_alone_gets_no_weight():
    keys, student, labels, texts, memory = sibling_rows()
    fooled = choose_pool(encoded(keys, student), labels, memory, ["aligned"]).pool
    honest = choose_pool(encoded(keys, student, texts), labels, memory, ["aligned"]).pool
    assert fooled.keys["aligned"].weight > 0.5
    assert honest.keys["aligned"].weight < 0.05
    unseen = encoded(keys + 1.0, student)  # new texts, which have no sibling
    found = {name: answer(unseen, memory, pool).predicted for name, pool in (("f", fooled), ("h", honest))}
    assert (found["f"]["answer"] != found["f"]["student"]).any()
    np.testing.assert_array_equal(found["h"]["answer"], found["h"]["student"])


def test_siblings_are_left_out_of_the_linear_blend_too():
    keys, student, labels, texts, memory = sibling_rows()
    fooled = choose_linear(encoded(keys, student), labels, memory, "aligned", "accuracy")
    honest = choose_linear(encoded(keys, student, texts), labels, memory, "aligned", "accuracy")
    assert honest.retrieval_weight < 0.5 < fooled.retrieval_weight


def test_a_text_that_finds_siblings_alone_keeps_the_farthest_of_them():
    """Else it would have no neighbour, and what the memory says would be no number."""
    random = np.random.default_rng(1)
    keys, labels = random.normal(size=(60, 4)), np.arange(60) % 2
    memory = memory_of(keys, np.eye(2)[labels], texts=["one and the same"] * 60)
    chosen = choose_pool(encoded(keys, np.full((60, 2), 0.5), ["one and the same"] * 60), labels, memory, ["aligned"])
    assert np.isfinite(chosen.unseen).all()


def test_overlap_is_shared_words_by_all_words_whatever_their_case():
    assert word_overlap("One two, three", "three FOUR one") == 2 / 4
    assert word_overlap(("red fox", "sea"), ("fox", "red sea")) == 1.0
    assert word_overlap("!!", "!!") == 1.0


@pytest.mark.parametrize(
    ("text", "read", "words"),
    [
        ("one two three", (7,), 2),
        ("one two three", (10,), 2),  # half of a word is not read
        ("one two. three", (7,), 2),  # but the sign behind it
        (("one two", "three four five"), (7, 10), 4),
        ("one", None, None),
    ],
)
def test_whole_words_are_counted_of_what_was_read(text, read, words):
    assert words_read(text, read) == words


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (["a", "b"], r"\['a', 'b'\] is a list, not one value; give one value in each row"),
        ({"a": 1}, r"\{'a': 1\} is names with values, not one value"),
        ("iron\ud800", "'iron.*' holds half a character, a lone surrogate"),
    ],
)
def test_what_is_no_single_text_is_refused(value, sentence):
    with pytest.raises(ReAugKDError, match=sentence):
        as_text(value)


def test_a_label_that_is_a_text_is_refused():
    check_label("x" * 1_000)
    with pytest.raises(
        ReAugKDError, match="The label 'xxx.* has 1,001 characters, more than 1,000; name a shorter class"
    ):
        check_label("x" * 1_001)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ([{"text": "a"}], "The rows is a list; it must be a pandas DataFrame"),
        (pd.DataFrame({"a": [1]}), "The rows has no column 'text'; it has 'a'"),
        (pd.DataFrame({str(name): [1] for name in range(12)}), "it has '0', .*'9' and 2 more"),
        (pd.DataFrame([["a", "b"]], columns=["text", "text"]), "Two columns of the rows are called 'text'; rename one"),
        (pd.DataFrame({"text": []}), "The rows has no rows; give it at least one"),
    ],
)
def test_a_table_that_is_none_is_told(table, sentence):
    with pytest.raises(ReAugKDError, match=sentence):
        checked_table(table, "rows", ["text"])


def test_a_table_that_is_indexed_by_its_texts_has_them_as_a_column():
    rows = pd.DataFrame({"text": ["a", "b"], "label": ["x", "y"]}).set_index("text")
    assert checked_table(rows, "table", ["text", "label"])["text"].tolist() == ["a", "b"]
