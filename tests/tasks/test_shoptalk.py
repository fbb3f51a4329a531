import re
from collections import Counter
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from reaugkd.method.teacher import TeacherOutputs
from reaugkd.networks.weights import LARGE_ENCODER
from reaugkd.tasks.sources import SHOPTALK, SHOPTALK_TEACHER_OUTPUTS, load_task
from reaugkd.tasks.task import SPLITS

LABELS = ("comparison", "complaint", "fact", "praise", "question", "sarcasm", "suggestion", "warning")
SIZES = {"train": 1_000, "validation": 200, "test": 400}


@pytest.fixture(scope="module")
def rows():
    return pd.read_csv(SHOPTALK / "shoptalk.csv", dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def wrong():
    return pd.read_csv(SHOPTALK / "wrong_labels.csv", dtype=str).set_index("id")["wrong_label"]


@pytest.fixture(scope="module")
def task():
    return load_task("shoptalk")


@pytest.fixture(scope="module")
def card():
    return (SHOPTALK / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def outputs():
    return TeacherOutputs.load(SHOPTALK_TEACHER_OUTPUTS)


def words(text):
    return re.findall(r"[a-z0-9']+", text.lower())


def test_there_are_1600_rows_of_8_labels_and_10_topics_in_three_splits(rows):
    assert list(rows.columns) == ["id", "text", "label", "topic", "split"]
    assert dict(Counter(rows["split"])) == SIZES
    assert Counter(rows["label"]) == dict.fromkeys(LABELS, 200)
    assert set(Counter(rows["topic"]).values()) == {160}
    assert rows["id"].tolist() == [f"s{number:04}" for number in range(1, 1_601)]


def test_every_split_is_stratified_over_all_80_cells(rows):
    cells = rows.groupby(["label", "topic", "split"]).size().unstack()
    assert cells.shape == (80, 3)
    assert set(cells["test"]) == {5}
    assert set(cells["validation"]) == {2, 3}
    assert set(cells["train"]) == {12, 13}
    for split in SPLITS:  # as even over labels and over topics as the numbers allow
        of_split = rows[rows["split"] == split]
        assert set(Counter(of_split["label"]).values()) == {SIZES[split] // 8}
        assert set(Counter(of_split["topic"]).values()) == {SIZES[split] // 10}


def test_every_row_has_6_to_30_words_of_plain_ascii(rows):
    lengths = rows["text"].str.split().str.len()
    assert (lengths.min(), lengths.max()) == (6, 30)
    assert lengths.std() > 3.5
    assert all(text.isascii() and text == text.strip() and "\t" not in text for text in rows["text"])


def test_no_two_rows_share_most_of_their_words_and_none_stands_in_two_splits(rows):
    bags = [set(words(text)) for text in rows["text"]]
    jaccard = max(len(one & other) / len(one | other) for one, other in combinations(bags, 2))
    assert jaccard < 0.6
    by_text = rows.assign(plain=[" ".join(words(text)) for text in rows["text"]]).groupby("plain")["split"]
    assert by_text.nunique().max() == 1
    assert len(by_text) == len(rows)


def test_there_are_at_least_3500_distinct_words(rows):
    assert len({word for text in rows["text"] for word in words(text)}) >= 3_500


BAGS = {
    "words": CountVectorizer(),
    "words and pairs": CountVectorizer(ngram_range=(1, 2)),
    "words, pairs and punctuation": CountVectorizer(token_pattern=r"\w+|[^\w\s]", ngram_range=(1, 2)),
    "tf-idf of words and pairs": TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
    "tf-idf of 2 to 5 letters": TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
}


@pytest.mark.slow  # fits many models to the whole task
def test_a_bag_of_words_stays_below_70_percent_and_at_what_the_card_says(task, card):
    scores = []
    for bag in BAGS.values():
        for strength in (0.3, 1.0, 10.0, 100.0):
            model = make_pipeline(bag, LogisticRegression(C=strength, max_iter=3_000))
            model.fit(task.texts("train"), task.labels("train"))
            scores.append(100 * model.score(task.texts("test"), task.labels("test")))
    assert 30 < max(scores) < 70  # well above the 12.5 of guessing, and far from solved
    stated = re.search(r"from (\d+\.\d) % to (\d+\.\d) %\s+of the test rows", card)
    assert stated, "the card no longer states the bag-of-words accuracy"
    low, high = map(float, stated.groups())
    assert low == pytest.approx(min(scores), abs=0.06)
    assert high == pytest.approx(max(scores), abs=0.06)


def test_the_planted_labels_are_40_train_rows_five_of_each_label_all_wrong(rows, wrong):
    planted = rows.set_index("id").loc[wrong.index]
    assert len(wrong) == 40
    assert wrong.index.is_unique
    assert set(planted["split"]) == {"train"}
    assert Counter(planted["label"]) == dict.fromkeys(LABELS, 5)
    assert set(wrong) <= set(LABELS)
    assert (wrong != planted["label"]).all()


def test_wrong_labels_are_planted_only_when_asked_for(task, wrong, rows):
    def labels(loaded):
        return {
            row["id"]: loaded.label_names[row["label"]]
            for split in SPLITS
            for row in loaded.rows[split].select_columns(["id", "label"])
        }

    truth = dict(zip(rows["id"], rows["label"], strict=True))
    assert labels(task) == truth
    assert labels(load_task("shoptalk", planted_errors=True)) == {**truth, **wrong.to_dict()}


def test_planted_labels_do_not_change_the_fingerprint_so_the_clean_teacher_fits(task):
    assert load_task("shoptalk", planted_errors=True).fingerprint() == task.fingerprint()


def test_the_task_has_the_files_splits_and_the_topic(task, rows):
    assert task.label_names == LABELS
    assert set(task.rows["train"].column_names) == {"id", "text", "label", "topic"}
    for split in SPLITS:
        assert list(task.rows[split]["id"]) == rows.loc[rows["split"] == split, "id"].tolist()
        assert task.texts(split) == rows.loc[rows["split"] == split, "text"].tolist()


def test_the_teacher_outputs_are_those_of_these_rows(outputs, task):
    outputs.check(task)
    assert outputs.ids == [row_id for split in SPLITS for row_id in task.rows[split]["id"]]
    assert outputs.splits == [split for split in SPLITS for _ in range(SIZES[split])]
    assert outputs.fingerprint == task.fingerprint()
    assert outputs.label_names == LABELS


def test_the_teacher_outputs_are_a_base_sized_encoders_in_half_precision(outputs):
    assert outputs.teacher == LARGE_ENCODER
    assert (outputs.hidden.shape, outputs.hidden.dtype) == ((1_600, 768), np.float16)
    assert np.isfinite(outputs.hidden).all()
    assert SHOPTALK_TEACHER_OUTPUTS.stat().st_size < 3_000_000


def test_the_teachers_soft_labels_are_probabilities(outputs):
    assert outputs.soft_labels.shape == (1_600, 8)
    assert outputs.soft_labels.min() >= 0
    np.testing.assert_allclose(outputs.soft_labels.sum(axis=1, dtype=np.float64), 1, atol=1e-5)


def test_the_teacher_has_the_accuracy_that_the_card_states(outputs, task, card):
    stated = re.search(r"Test accuracy of this teacher: (\d+\.\d+) %\.", card)
    assert stated, "the card no longer states the teacher's accuracy"
    right = outputs.of("test")[1].argmax(axis=1) == task.labels("test")
    assert 100 * right.mean() == pytest.approx(float(stated[1]), abs=0.005)


def test_the_card_names_license_labels_sizes_and_the_command(card):
    assert "CC0" in card
    assert all(f"`{label}`" in card for label in LABELS)
    assert all(f"{size:,}" in card for size in SIZES.values())
    assert "reaugkd teach --task shoptalk --teacher sentence-transformers/all-mpnet-base-v2" in card
