"""What a key costs is measured, of the student and of every key."""

import time

import pytest

from reaugkd.analysis.key_cost import milliseconds


def test_the_student_and_each_key_are_measured(toy_model, monkeypatch):
    key = type(toy_model.keys["text"])
    embed = key.embed

    def slow(self, *arguments):
        time.sleep(0.03)
        return embed(self, *arguments)

    monkeypatch.setattr(key, "embed", slow)
    found = milliseconds(toy_model, "iron and rain")
    assert list(found) == ["student", *toy_model.pool.keys]
    assert found["text"] >= 30
    assert all(cost > 0 for cost in found.values())
    assert found["aligned"] < found["text"]
    assert found["text"] == pytest.approx(30, abs=20)
