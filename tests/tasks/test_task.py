import hashlib
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from reaugkd.errors import ReAugKDError
from reaugkd.tasks.task import RESERVED, make_task, with_unlabelled
from reaugkd.texts import MAX_CHARACTERS


def table(rows, **columns):
    """Rows of (text, label)."""
    texts, labels = zip(*rows, strict=True)
    return pd.DataFrame({"text": texts, "label": labels, **columns})


def uneven_table():
    """60 rows of a, 30 of b, 10 of c, in a mixed order, with ids and a topic."""
    labels = np.random.default_rng(5).permutation(["a"] * 60 + ["b"] * 30 + ["c"] * 10)
    rows = [(f"text {number}", label) for number, label in enumerate(labels)]
    return table(rows, id=[f"row{number}" for number in range(100)], topic=[number % 3 for number in range(100)])


FOUR_ROWS = [("one", "a"), ("two", "b"), ("three", "a"), ("four", "b")]


def by_id(task):
    """Every row of every split as (text, label name, topic), by id."""
    return {
        row["id"]: (row["text"], task.label_names[row["label"]], row["topic"])
        for split in task.rows
        for row in task.rows[split]
    }


def test_held_out_rows_are_disjoint_and_take_20_and_10_percent():
    task = make_task("t", {"train": uneven_table()})
    ids = {split: set(task.rows[split]["id"]) for split in task.rows}
    assert {split: len(found) for split, found in ids.items()} == {"train": 72, "validation": 8, "test": 20}
    assert set.union(*ids.values()) == {f"row{number}" for number in range(100)}


def test_held_out_rows_are_stratified_by_label():
    task = make_task("t", {"train": uneven_table()})
    counts = {split: Counter(task.rows[split]["label"]) for split in task.rows}
    assert counts["test"] == {0: 12, 1: 6, 2: 2}
    assert counts["validation"] == {0: 5, 1: 2, 2: 1}
    assert counts["train"] == {0: 43, 1: 22, 2: 7}


def test_each_class_keeps_a_held_out_row_even_where_ten_percent_is_fewer_rows_than_classes():
    labels = [f"class {number:02}" for number in range(12)] * 4
    task = make_task("t", {"train": table([(f"text {n}", label) for n, label in enumerate(labels)])})
    assert Counter(task.rows["test"]["label"]) == dict.fromkeys(range(12), 1)
    assert Counter(task.rows["validation"]["label"]) == dict.fromkeys(range(12), 1)


@pytest.mark.parametrize(
    ("train", "wanted"),
    [(80, 8), (199, 20), (200, 50), (300, 50), (499, 50), (500, 50), (505, 50), (620, 62), (1_000, 100)],
)
def test_fifty_validation_rows_are_held_out_where_they_are_no_more_than_a_quarter_and_else_ten_percent(train, wanted):
    given = labelled_rows(a=train // 2, b=train - train // 2)
    task = make_task("t", {"train": given, "test": table([("new", "a")])})
    assert len(task.rows["validation"]) == wanted
    assert len(task.rows["train"]) == train - wanted
    share = np.bincount(task.labels("validation")) / wanted
    np.testing.assert_allclose(share, 0.5, atol=0.07)


def test_from_500_rows_on_the_validation_rows_are_the_tenth_of_scikit_learn_also_where_rare_classes_leave_fewer():
    given = labelled_rows(a=250, b=240, **{f"rare{number}": 2 for number in range(5)})
    task = make_task("t", {"train": given, "test": table([("new", "a")])})
    common = given[given["label"].isin(["a", "b"])]
    _, wanted = train_test_split(common, test_size=49, random_state=0, stratify=common["label"])
    assert list(task.rows["validation"]["text"]) == wanted.sort_index()["text"].tolist()


def test_of_few_rows_beside_many_of_rare_classes_no_fifty_are_taken():
    given = labelled_rows(a=30, b=30, **{f"rare{number}": 2 for number in range(80)})
    task = make_task("t", {"train": given, "test": table([("new", "a")])})
    assert np.bincount(task.labels("validation")).tolist() == [3, 3]


def labelled_rows(**counts):
    labels = np.random.default_rng(5).permutation([label for label, count in counts.items() for _ in range(count)])
    return table([(f"text {number}", label) for number, label in enumerate(labels)])


@pytest.mark.parametrize(
    ("counts", "held_out"),
    [
        ({"a": 96, "b": 4}, {"train": (69, 2), "validation": (8, 1), "test": (19, 1)}),  # its share of 80 is 0.3
        ({"a": 197, "b": 3}, {"train": (142, 2), "validation": (16, 0), "test": (39, 1)}),
        ({"a": 98, "b": 2}, {"train": (70, 2), "validation": (8, 0), "test": (20, 0)}),
    ],
)
def test_a_class_without_its_share_of_a_row_is_held_out_once_as_long_as_two_rows_stay_in_train(counts, held_out):
    task = make_task("t", {"train": labelled_rows(**counts)})
    assert {split: tuple(np.bincount(task.labels(split), minlength=2)) for split in task.rows} == held_out
    assert len(set().union(*(task.rows[split]["id"] for split in task.rows))) == sum(counts.values())
    again = make_task("t", {"train": labelled_rows(**counts)})
    assert again.fingerprint() == task.fingerprint()


@pytest.mark.parametrize("rows", range(6, 40))
def test_a_class_of_two_rows_stays_in_train_whatever_the_size(rows):
    task = make_task("t", {"train": labelled_rows(a=rows, b=rows, c=2)})
    assert [(task.labels(split) == 2).sum() for split in ("train", "validation", "test")] == [2, 0, 0]


def test_a_class_of_a_single_row_stays_in_train_and_the_other_rows_are_held_out_as_without_it():
    lonely = make_task("t", {"train": pd.concat([uneven_table(), table([("alone", "z")], id=["z1"], topic=[0])])})
    assert [(lonely.labels(split) == 3).sum() for split in ("train", "validation", "test")] == [1, 0, 0]
    without = make_task("t", {"train": uneven_table()})
    for split in ("validation", "test"):
        assert lonely.texts(split) == without.texts(split)


def test_where_no_class_has_three_rows_none_can_be_held_out():
    refused(labelled_rows(a=2, b=2), "No label has three rows left in train, so no test rows can be held out")


def test_where_the_test_split_took_the_third_row_none_is_held_out_for_validation():
    refused(labelled_rows(a=3, b=3), "No label has three rows left in train, so no validation rows can be held out")


def test_where_every_class_has_its_row_the_splits_are_those_of_scikit_learn():
    source = uneven_table()
    task = make_task("t", {"train": source})
    rest, test = train_test_split(source, test_size=20, random_state=0, stratify=source["label"])
    rest = rest.sort_index()
    train, validation = train_test_split(rest, test_size=8, random_state=0, stratify=rest["label"])
    for split, wanted in (("train", train), ("validation", validation), ("test", test)):
        assert list(task.rows[split]["id"]) == wanted.sort_index()["id"].tolist()


def test_a_row_keeps_its_id_label_and_topic_when_it_is_held_out():
    source = uneven_table()
    wanted = {row.id: (row.text, row.label, row.topic) for row in source.itertuples()}
    assert by_id(make_task("t", {"train": source})) == wanted


def test_ids_made_up_for_train_rows_survive_the_move_to_another_split():
    source = uneven_table().drop(columns="id")
    task = make_task("t", {"train": source})
    for split in task.rows:
        for row in task.rows[split]:
            number = int(row["id"].removeprefix("train-"))
            assert row["text"] == source["text"].iloc[number - 1]


def test_only_the_missing_split_is_held_out():
    test = table([("new one", "a"), ("new two", "b")])
    task = make_task("t", {"train": uneven_table(), "test": test})
    assert task.texts("test") == ["new one", "new two"]
    assert (len(task.rows["train"]), len(task.rows["validation"])) == (90, 10)
    given = make_task("t", {"train": table(FOUR_ROWS), "validation": test, "test": test})
    assert given.texts("train") == ["one", "two", "three", "four"]


def test_the_given_tables_are_left_as_they_were():
    source = uneven_table()
    before = source.copy()
    make_task("t", {"train": source})
    pd.testing.assert_frame_equal(source, before)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["10", "9", "2", "1"], ("1", "2", "9", "10")),
        (["0.5", "-1", "3", "0"], ("-1", "0", "0.5", "3")),
        (["b10", "b9", "a", "B"], ("B", "a", "b10", "b9")),
        (["10", "9", "none", "1"], ("1", "10", "9", "none")),
    ],
)
def test_labels_are_ordered_by_value_where_all_are_numbers_and_by_letter_elsewhere(labels, names):
    source = table([(f"text {number}", label) for number, label in enumerate(labels)])
    assert make_task("t", {"train": source, "validation": source, "test": source}).label_names == names


def test_given_label_names_keep_their_order():
    source = table(FOUR_ROWS)
    task = make_task("t", {"train": source, "validation": source, "test": source}, label_names=["b", "a"])
    assert task.label_names == ("b", "a")
    np.testing.assert_array_equal(task.labels("train"), np.array([1, 0, 1, 0]))


def test_pairs_are_tuples_and_other_columns_are_kept():
    source = table(FOUR_ROWS, text_pair=["w", "x", "y", "z"], topic=["p", "q", "p", "q"])
    task = make_task("t", {"train": source, "validation": source, "test": source})
    assert task.is_pair
    assert task.texts("test") == [("one", "w"), ("two", "x"), ("three", "y"), ("four", "z")]
    assert list(task.rows["test"]["topic"]) == ["p", "q", "p", "q"]


@pytest.mark.parametrize("values", [[1, "two", 3, 4], [{"a": 1}, 2, 3, 4], [[1], "two", [3], [4]]])
def test_a_column_of_several_kinds_of_values_is_refused(values):
    refused(
        table(FOUR_ROWS, note=values),
        "The column 'note' holds what no Parquet file can .*; make its values of one kind",
    )


def test_a_column_of_another_kind_in_another_split_is_refused_and_one_that_is_missing_there_is_not():
    train, test = table(FOUR_ROWS, note=[1, 2, 3, 4]), table(FOUR_ROWS, note=["a", "b", "c", "d"])
    refused(train, "The column 'note' holds what no Parquet file can", test=test)
    task = make_task("t", {"train": train, "validation": table(FOUR_ROWS), "test": table(FOUR_ROWS)})
    assert list(task.rows["train"]["note"]) == [1, 2, 3, 4]


def test_a_column_that_no_parquet_file_can_hold_is_refused_before_a_model_is_trained():
    refused(table(FOUR_ROWS, meta=[{}] * 4), "The column 'meta' holds what no Parquet file can")


def test_labels_that_are_numbers_are_text():
    source = table([("one", 0), ("two", 1), ("three", 0), ("four", 1)])
    task = make_task("t", {"train": source, "validation": source, "test": source})
    assert task.label_names == ("0", "1")
    assert len(task.fingerprint()) == 64


def test_spaces_around_a_label_make_no_class_of_their_own():
    source = table([("one", "a"), ("two", "b "), ("three", " a"), ("four", "b")])
    task = make_task("t", {"train": source, "validation": source, "test": source})
    assert task.label_names == ("a", "b")
    named = make_task("t", {"train": source, "validation": source, "test": source}, label_names=["b ", "a"])
    assert named.label_names == ("b", "a")


@pytest.mark.parametrize("kind", ["float64", "float32", "Int64"])
def test_a_whole_number_is_one_label_whatever_pandas_made_of_it(kind):
    source = table([("one", 0), ("two", 1), ("three", 0), ("four", 1)]).astype({"label": kind})
    assert make_task("t", dict.fromkeys(("train", "validation", "test"), source)).label_names == ("0", "1")


def test_a_column_takes_the_place_of_one_that_is_called_given_already():
    source = table(FOUR_ROWS, soft_labels=list("pqrs"), given_soft_labels=list("wxyz"))
    task = make_task("t", {"train": source, "validation": source, "test": source})
    assert list(task.rows["train"]["given_soft_labels"]) == list("pqrs")


@pytest.mark.parametrize("name", RESERVED)
def test_a_column_of_a_name_that_the_models_tables_use_is_called_given(name):
    source = table(FOUR_ROWS, **{name: ["p", "q", "p", "q"]})
    task = make_task("t", {"train": source, "validation": source, "test": source})
    assert name not in task.rows["train"].column_names
    assert list(task.rows["train"][f"given_{name}"]) == ["p", "q", "p", "q"]


def refused(train, match, **others):
    with pytest.raises(ReAugKDError, match=match):
        make_task("t", {"train": train, **others})


@pytest.mark.parametrize("text", ["", "  \t ", None])
def test_an_empty_text_is_refused_with_its_place(text):
    refused(table([*FOUR_ROWS, (text, "a")]), "The text of train row 5 is empty; write")


def test_an_empty_second_text_is_refused_with_its_column():
    refused(table(FOUR_ROWS, text_pair=["w", " ", "y", "z"]), "The text_pair of train row 2 is empty")


def test_an_enormous_text_is_refused_and_one_at_the_limit_is_not():
    refused(
        table([*FOUR_ROWS, ("x" * (MAX_CHARACTERS + 1), "a")]),
        "text of train row 5 has 100,001 characters, more than 100,000; shorten it",
    )
    at_limit = table([*FOUR_ROWS, ("x" * MAX_CHARACTERS, "a")])
    make_task("t", {"train": at_limit, "validation": at_limit, "test": at_limit})


@pytest.mark.parametrize("label", [None, "", " "])
def test_a_missing_label_is_refused_with_its_place(label):
    refused(table([("one", "a"), ("two", label), ("three", "b")]), "train row 2 has no label; fill it in")


def test_a_single_class_is_refused():
    refused(table([("one", "a"), ("two", "a")]), "Every train row has the label 'a'")


def test_a_label_that_train_never_had_is_refused():
    refused(table(FOUR_ROWS), "label 'c' is in test but never in train", test=table([("new", "c")]))


def test_a_label_outside_the_given_names_is_refused():
    with pytest.raises(ReAugKDError, match="label 'b' is in train"):
        make_task("t", {"train": table(FOUR_ROWS)}, label_names=["a", "c"])


def test_duplicate_ids_are_refused():
    refused(table(FOUR_ROWS, id=["i", "j", "j", "k"]), "id 'j' stands on two train rows; make the ids unique")


def test_a_table_without_rows_is_refused():
    refused(table(FOUR_ROWS), "test table has no rows", test=table(FOUR_ROWS).iloc[:0])


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        ({"test": table(FOUR_ROWS)}, "A task needs train rows; give a DataFrame by the name of each split"),
        ([table(FOUR_ROWS)], "A task needs train rows; give a DataFrame by the name of each split"),
        ({"train": [{"text": "one", "label": "a"}]}, "The train table is a list; it must be a pandas DataFrame"),
        ({"train": table(FOUR_ROWS)[["label"]]}, "The train table has no column 'text'; it has 'label'"),
        ({"train": table(FOUR_ROWS)[["text"]]}, "The train table has no column 'label'; it has 'text'"),
        (
            {"train": table(FOUR_ROWS, text_pair=list("wxyz")), "test": table(FOUR_ROWS)},
            "The test table has no column 'text_pair'; it has 'text', 'label'",
        ),
        ({"train": table(FOUR_ROWS), "dev": table(FOUR_ROWS)}, "The split is 'dev'; it must be one of train, valid"),
    ],
)
def test_what_is_no_table_of_texts_and_labels_is_refused(tables, sentence):
    with pytest.raises(ReAugKDError, match=sentence):
        make_task("t", tables)


@pytest.mark.parametrize("names", [["a", "b", "b "], {"a", "b"}, "ab", []])
def test_label_names_that_are_no_list_of_different_names_are_refused(names):
    with pytest.raises(ReAugKDError, match="label_names is .*; give a list that names each class once"):
        make_task("t", {"train": table(FOUR_ROWS * 5)}, label_names=names)


def test_an_unknown_metric_is_refused():
    with pytest.raises(ReAugKDError, match="no metric 'bleu'; choose one of accuracy, "):
        make_task("t", {"train": table(FOUR_ROWS)}, metric="bleu")


def test_a_two_class_metric_is_refused_for_three_classes():
    with pytest.raises(ReAugKDError, match="accuracy_and_f1 is for two classes, this task has 3"):
        make_task("t", {"train": uneven_table()}, metric="accuracy_and_f1")
    assert make_task("t", {"train": uneven_table()}, metric="matthews_correlation").metric == "matthews_correlation"


def fingerprint(*, text="one", test_text="six", test_id="t1", label="a", names=None, move=False):
    train = table([(text, label), *FOUR_ROWS[1:]], id=["r1", "r2", "r3", "r4"])
    test = table([(test_text, "b"), ("seven", "a")], id=[test_id, "t2"])
    if move:  # the first test row stands in validation instead
        tables = {"train": train, "validation": test.iloc[:1], "test": test.iloc[1:]}
    else:
        tables = {"train": train, "validation": test.iloc[1:], "test": test.iloc[:1]}
    return make_task("t", tables, label_names=names).fingerprint()


def test_the_fingerprint_changes_with_a_text_an_id_a_split_or_the_classes():
    same = fingerprint()
    changed = [
        fingerprint(text="one!"),
        fingerprint(test_text="six!"),
        fingerprint(test_id="t9"),
        fingerprint(move=True),
        fingerprint(names=["b", "a"]),
    ]
    assert same == fingerprint()
    assert len({same, *changed}) == 6


def test_the_fingerprint_does_not_change_with_a_gold_label():
    assert fingerprint(label="b") == fingerprint(label="a")


def digest_by_hand(task, splits):
    """SHA-256 of the class names, and of split, id and text of each row."""
    parts = "\x1f".join(task.label_names)
    for split in splits:
        for row in task.rows[split]:
            parts += "\x1f".join([split, row["id"], row["text"]]) + "\x1e"
    return hashlib.sha256(parts.encode()).hexdigest()


NEW_TEXTS = ["entirely other words", "a further line here", "nothing seen so far"]


def test_the_fingerprint_is_that_of_the_three_splits_and_with_unlabelled_texts_of_the_fourth_too():
    task = make_task("t", {"train": uneven_table()})
    assert task.fingerprint() == digest_by_hand(task, ["train", "validation", "test"])
    more, _ = with_unlabelled(task, pd.DataFrame({"text": NEW_TEXTS}))
    assert more.fingerprint() == digest_by_hand(more, ["train", "validation", "test", "unlabelled"])
    other, _ = with_unlabelled(task, pd.DataFrame({"text": NEW_TEXTS[:2]}))
    assert len({task.fingerprint(), more.fingerprint(), other.fingerprint()}) == 3


def test_unlabelled_texts_are_a_split_of_their_own_and_the_others_stay():
    task = make_task("t", {"train": uneven_table()})
    given = pd.DataFrame({"text": NEW_TEXTS, "label": ["a", "b", "never heard"], "soft_labels": [1, 2, 3]})
    before = given.copy()
    more, left_out = with_unlabelled(task, given)
    pd.testing.assert_frame_equal(given, before)
    assert left_out == 0
    assert (task.splits, more.splits) == (
        ("train", "validation", "test"),
        ("train", "validation", "test", "unlabelled"),
    )
    assert (task.taught_splits, more.taught_splits) == (("train",), ("train", "unlabelled"))
    assert more.taught_texts == [*task.texts("train"), *NEW_TEXTS]
    assert task.taught_texts == task.texts("train")
    assert more.rows["unlabelled"]["id"][:] == ["unlabelled-1", "unlabelled-2", "unlabelled-3"]
    assert "label" not in more.rows["unlabelled"].column_names
    assert more.rows["unlabelled"]["given_soft_labels"][:] == [1, 2, 3]
    for split in task.splits:
        assert more.rows[split].to_dict() == task.rows[split].to_dict()
    assert more.label_names == task.label_names


def test_texts_that_are_known_that_stand_twice_or_are_siblings_of_validation_rows_are_left_out():
    rows = {
        "train": [("red fox", "a"), ("blue sea", "b")],
        "validation": [("one two three four five", "a")],
        "test": [("green hill over there", "b")],
    }
    task = make_task("t", {split: table(of_split) for split, of_split in rows.items()})
    texts = ["red fox", "one two three four", "one two three", "three two one", "green hill over there", "green hill"]
    texts += ["new", "new", "red fox runs", "one two"]
    more, left_out = with_unlabelled(task, pd.DataFrame({"text": texts}))
    # A text of the train or test split word for word; parts of the validation text; the second of two.
    assert more.texts("unlabelled") == ["green hill", "new", "red fox runs"]
    assert left_out == 7
    assert more.rows["unlabelled"]["id"][:] == ["unlabelled-6", "unlabelled-7", "unlabelled-9"]


def test_unlabelled_pairs_are_pairs():
    source = table(FOUR_ROWS, text_pair=["w", "x", "y", "z"])
    task = make_task("t", {"train": source, "validation": source, "test": source})
    given = pd.DataFrame({"text": ["one", "one", "five"], "text_pair": ["w", "other", "six"]})
    more, left_out = with_unlabelled(task, given)
    assert (more.texts("unlabelled"), left_out) == ([("one", "other"), ("five", "six")], 1)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"text": ["new", " "]}, "The text of unlabelled row 2 is empty; write"),
        ({"text": ["new", None]}, "The text of unlabelled row 2 is empty"),
        ({"text": ["x" * (MAX_CHARACTERS + 1)]}, "text of unlabelled row 1 has 100,001 characters"),
        ({"text": ["one", "two"]}, "Every unlabelled text stands in another split too; give texts that are new"),
        ({"text": []}, "The unlabelled table has no rows; give it at least one"),
        ({"text": ["new", "newer"], "id": ["7", "7"]}, "The id '7' stands on two unlabelled rows"),
        (
            {"text": ["new", "newer"], "id": ["7", "train-2"]},
            "The id 'train-2' stands on a train row too",
        ),
        ({"text": ["new"], "topic": ["words"]}, "The column 'topic' holds what no Parquet file can"),
    ],
)
def test_unlabelled_rows_that_are_of_no_use_are_named(given, sentence):
    source = table(FOUR_ROWS, topic=[1, 2, 3, 4])
    task = make_task("t", {"train": source, "validation": source, "test": source})
    with pytest.raises(ReAugKDError, match=sentence):
        with_unlabelled(task, pd.DataFrame(given))


def test_unlabelled_rows_of_a_task_of_single_texts_lose_their_second_text():
    singles = make_task("t", dict.fromkeys(("train", "validation", "test"), table(FOUR_ROWS)))
    more, _ = with_unlabelled(singles, pd.DataFrame({"text": ["new"], "text_pair": ["other"]}))
    assert more.texts("unlabelled") == ["new"]


def test_a_known_row_with_its_own_id_among_unlabelled_ones_is_left_out_without_a_word():
    task = make_task("t", dict.fromkeys(("train", "validation", "test"), table(FOUR_ROWS, id=list("1234"))))
    more, left_out = with_unlabelled(task, pd.DataFrame({"text": ["one", "quite new"], "id": ["1", "5"]}))
    assert (more.rows["unlabelled"]["id"][:], left_out) == (["5"], 1)


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ({"label_names": 3}, "label_names is 3; give a list that names each class once"),
        ({"metric": ["accuracy"]}, "metric is .'accuracy'.; it must be text"),
    ],
)
def test_names_and_metric_are_of_their_kinds(named, sentence):
    with pytest.raises(ReAugKDError, match=sentence):
        make_task("rows", {"train": pd.DataFrame({"text": ["a", "b"], "label": ["x", "y"]})}, **named)


def test_a_table_is_no_task():
    with pytest.raises(
        ReAugKDError, match="The task is a table; it must be one that load_task, load_files or make_task"
    ):
        with_unlabelled(pd.DataFrame({"text": ["a"]}), pd.DataFrame({"text": ["b"]}))


@pytest.mark.parametrize(("column", "sentence"), [("label", "no label"), ("id", "no id"), ("text", "is empty")])
def test_a_column_without_any_value_is_told(column, sentence):
    table = pd.DataFrame({"id": ["1"], "text": ["a"], "label": ["x"]}).assign(**{column: [float("nan")]})
    with pytest.raises(ReAugKDError, match=sentence):
        make_task("rows", {"train": table})
