"""Where an interrupted training goes on; what it keeps is tested in tests/test_recipe.py."""

import copy
from dataclasses import replace

import pytest

from reaugkd.errors import ReAugKDError
from reaugkd.working_folder import TEACHER, model_digest, working_folder


def test_two_trainings_do_not_work_in_one_folder(tmp_path):
    folder = tmp_path / "model.partial"
    with (
        working_folder(folder, TEACHER + "a"),
        pytest.raises(ReAugKDError, match="Another training works in .*partial"),
        working_folder(folder, TEACHER + "a"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
    with working_folder(folder, TEACHER + "a"):
        pass


def test_a_training_that_failed_leaves_no_lock(tmp_path):
    with pytest.raises(ValueError, match="stopped"), working_folder(tmp_path / "model.partial", TEACHER + "a"):
        raise ValueError("stopped")
    assert [path.name for path in tmp_path.iterdir()] == ["model.partial"]


def test_a_cached_model_has_another_name_wherever_it_would_be_another(toy_task, toy_recipe):
    recipe = toy_recipe.for_task(toy_task)
    shorter = copy.deepcopy(toy_task)
    shorter.rows["train"] = shorter.rows["train"].select(range(len(shorter.rows["train"]) - 1))
    names = [
        model_digest(toy_task, recipe, None),
        model_digest(toy_task, recipe.updated(seed=1).for_task(toy_task), None),
        model_digest(toy_task, recipe.updated(relational_weight=0.0), None),
        model_digest(toy_task, replace(recipe, keep_teacher=True), None),
        model_digest(shorter, recipe, None),
    ]
    assert len(set(names)) == len(names)
    assert names[0] == model_digest(toy_task, toy_recipe.for_task(toy_task), None)
