import numpy as np
import pandas as pd
import pytest

from reaugkd.recipe import Recipe
from reaugkd.study.plan import Study, StudyTeacher
from reaugkd.study.report import TEACHER, cost_figure, cost_table

STUDY = Study(
    tasks={"one": {"train": "one.csv"}, "two": {"train": "two.csv"}},
    teachers={"large": StudyTeacher("owner/large")},
    methods={"kd1": Recipe(student_layers=1), "kd2": Recipe(student_layers=2)},
    seeds=(0, 1),
)
SCORES = {("kd1", "off"): 0.60, ("kd2", "off"): 0.70, ("kd1", "pool"): 0.68, ("kd2", "pool"): 0.72}
MILLISECONDS = {(1, "off"): 1.0, (2, "off"): 4.0, (1, "pool"): 2.0, (2, "pool"): 5.0, (12, "owner/large"): 50.0}


def answers():
    """Both seeds and tasks are 1 and 2 points around the score of a way to answer."""
    about = {"teacher": "large", "teacher_test": 0.9}
    return pd.DataFrame(
        {"method": method, "answer": answer, "task": task, "seed": seed, "test": score + by_task + by_seed} | about
        for (method, answer), score in SCORES.items()
        for task, by_task in (("one", 0.02), ("two", -0.02))
        for seed, by_seed in ((0, 0.01), (1, -0.01))
    )


def latency(batch=1):
    found = [{"layers": layers, "answer": way, "milliseconds": spent} for (layers, way), spent in MILLISECONDS.items()]
    return pd.DataFrame(found).assign(batch=batch)


def test_the_gain_is_over_the_student_alone_that_takes_as_long():
    table = cost_table(STUDY, answers(), latency(), "large").set_index(["layers", "answer"])
    assert table.loc[(1, "pool"), "score"] == pytest.approx(68)
    # 2 ms are halfway from 1 to 4 on a logarithmic scale: there the student alone has 65.
    assert table.loc[(1, "pool"), "gain"] == pytest.approx(3)
    assert table.loc[(2, "pool"), "gain"] == pytest.approx(2)  # beyond the deepest student its accuracy holds
    assert table.loc[(1, "off"), "gain"] == pytest.approx(0)
    assert table.loc[(12, "owner/large"), "score"] == pytest.approx(90)


def test_a_way_that_does_not_answer_every_task_is_left_out():
    some = answers()
    some = some[~((some["method"] == "kd2") & (some["answer"] == "pool") & (some["task"] == "two"))]
    table = cost_table(STUDY, some, latency(), "large")
    assert [2, "pool"] not in table[["layers", "answer"]].to_numpy().tolist()


def test_where_no_student_alone_is_trained_on_every_task_there_is_no_table():
    some = answers()
    some = some[(some["answer"] != "off") | (some["task"] == "one")]
    assert cost_table(STUDY, some, latency(), "large").empty


def test_each_size_of_a_batch_is_a_panel_and_the_title_says_the_gain():
    both = pd.concat([latency(), latency(64).assign(milliseconds=10 * np.asarray(list(MILLISECONDS.values())))])
    figure = cost_figure(cost_table(STUDY, answers(), both, "large"))
    assert figure.layout.title.text.startswith("The free keys gain +2.5 points at equal latency, up to 3 layers")
    assert [panel.text for panel in figure.layout.annotations] == ["one text", "64 texts at once"]
    assert {trace.name for trace in figure.data} == {"student alone", "with the free keys", TEACHER}
