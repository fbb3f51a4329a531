"""Faults that are planted in library and page, one at a time: the tests can see."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from planted import FAULTS

ROOT = Path(__file__).parents[2]


@pytest.mark.slow  # each is a run of pytest
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught(fault, count, tmp_path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "REAUGKD_TRUST"))}
    environment = kept | {"PLANTED": fault, "PYTHONPATH": str(Path(__file__).parent)}
    options = ["-q", "-n", "0", "-p", "planted", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'run'}"]
    run = [sys.executable, "-m", "pytest", *options, FAULTS[fault][1]]
    ended = subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED, ended.stdout
    assert "error" not in ended.stdout.splitlines()[-1], ended.stdout  # the test failed, and not what it needs
    count("planted faults that a test caught")
