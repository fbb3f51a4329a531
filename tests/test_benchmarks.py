"""The benchmarks run, and their report is what was measured."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks import bench
from benchmarks.timing import in_turn, ratio

BENCH = Path(__file__).parent / "benchmarks" / "bench.py"


def test_ways_are_timed_in_turn_and_compared_round_by_round():
    now, order = [0.0], []

    def way(name, seconds):
        def answer(batch):
            order.append((name, batch))
            now[0] += seconds * batch

        return answer

    times = in_turn({"slow": way("slow", 3.0), "fast": way("fast", 1.0)}, [1, 10], clock=lambda: now[0])
    asked = [("slow", 1), ("fast", 1), ("slow", 10), ("fast", 10)]
    assert order == [one for one in asked for _ in range(2)]  # the second time counts
    np.testing.assert_allclose(times["slow"], [3, 30])
    assert ratio(times, "slow", "fast", 2.5) == {
        "faster": "fast",
        "than": "slow",
        "times as fast": 3.0,
        "bar": 2.5,
        "reached": True,
    }


def test_the_report_shows_the_machine_and_each_row_under_its_own_heads():
    rows = [{"step": "a", "share, %": 1234.5}, {"step": "b", "share, %": 0.0123, "reached": False}]
    text = bench.markdown({"machine": {"cores": 2}, "parts": {"inference": {"steps": rows}}})
    assert "- cores: 2" in text
    assert "| step | share, % | reached |\n|---|---|---|\n| a | 1,234 |  |\n| b | 0.0123 | no |" in text


@pytest.mark.slow  # it imports torch in other processes
def test_a_part_alone_is_measured_and_written(tmp_path):
    command = [sys.executable, BENCH, "--parts", "start", "--short", "--out", tmp_path]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    results = json.loads((tmp_path / "bench.json").read_text())
    assert list(results["parts"]) == ["start"]
    assert results["machine"]["torch"].startswith("2.13")
    seconds = {row["started"]: row["median, s"] for row in results["parts"]["start"]["seconds"]}
    assert 0 < seconds["python alone"] < seconds["reaugkd --help"]
    assert "## start: seconds" in (tmp_path / "bench.md").read_text()
