"""A black box labels unlabelled texts too: by a function, by a table, and each row by its own answer."""

import numpy as np
import pandas as pd
import pytest

from reaugkd.errors import ReAugKDError
from reaugkd.method.black_box import black_box_outputs, read_soft_labels

NAMES = ["fruit", "metal", "weather"]


@pytest.fixture(scope="module")
def answers(unlabelled_task):
    """An answer of its own for each row, in the order of the splits."""
    rows = [(split, row_id) for split in unlabelled_task.splits for row_id in unlabelled_task.rows[split]["id"]]
    given = np.random.default_rng(0).dirichlet(np.ones(3), size=len(rows)).astype(np.float32)
    return dict(zip(rows, given, strict=True))


def test_a_function_is_asked_of_unlabelled_texts_last(unlabelled_task, toy_encoder_folder, answers):
    asked = []

    def says(texts):
        asked.extend(texts)
        return np.stack(list(answers.values()))

    outputs = black_box_outputs(unlabelled_task, says, str(toy_encoder_folder))
    assert asked == [text for split in unlabelled_task.splits for text in unlabelled_task.texts(split)]
    outputs.check(unlabelled_task)
    for split in unlabelled_task.splits:
        wanted = np.stack([answers[split, row_id] for row_id in unlabelled_task.rows[split]["id"]])
        np.testing.assert_allclose(outputs.of(split)[1], wanted, atol=1e-6)
    assert outputs.hidden.shape == (len(answers), 32)


@pytest.mark.parametrize("by", ["split", "id"])
def test_a_table_holds_those_of_unlabelled_rows_too(unlabelled_task, toy_encoder_folder, answers, tmp_path, by):
    table = pd.DataFrame(np.stack(list(answers.values())), columns=NAMES)
    table["split"], table["id"] = zip(*answers, strict=True)
    shuffled = table.sample(frac=1, random_state=0)
    shuffled = shuffled if by == "split" else shuffled.drop(columns="split")
    shuffled.to_csv(tmp_path / "answers.csv", index=False)
    given = read_soft_labels(tmp_path / "answers.csv", unlabelled_task)
    assert given.keys() == answers.keys()
    outputs = black_box_outputs(unlabelled_task, given, str(toy_encoder_folder))
    np.testing.assert_allclose(outputs.soft_labels, np.stack(list(answers.values())), atol=1e-5)


def test_an_unlabelled_row_without_an_answer_is_named(unlabelled_task, toy_encoder_folder, answers):
    last = list(answers)[-1]
    missing = {row: given for row, given in answers.items() if row != last}
    with pytest.raises(ReAugKDError, match=f"The unlabelled row '{last[1]}' has no soft labels; give some"):
        black_box_outputs(unlabelled_task, missing, str(toy_encoder_folder))
