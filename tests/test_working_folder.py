"""Where an interrupted training goes on; what it keeps is tested in tests/test_recipe.py."""

import pytest

from reaugkd.errors import ReAugKDError
from reaugkd.working_folder import TEACHER, working_folder


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
