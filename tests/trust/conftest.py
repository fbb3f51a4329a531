"""How much is tried: a little with the other tests, all of it with `make trust`, which ends with the counts."""

import os
from collections import Counter

import pytest

WHOLE = bool(os.environ.get("REAUGKD_TRUST"))


@pytest.fixture(scope="session")
def short_or_whole():
    """Return how many to try: the first number with the other tests, the second with `make trust`."""
    return lambda short, whole: whole if WHOLE else short


@pytest.fixture
def count(record_property):
    """Count what a test tried, under a name; `make trust` ends with the sums."""
    return lambda what, number=1: record_property(f"tried: {what}", number)


def pytest_terminal_summary(terminalreporter):
    tried = Counter()
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, number in report.user_properties:
            if name.startswith("tried: "):
                tried[name.removeprefix("tried: ")] += number
    if tried:
        terminalreporter.section("what was tried")
    for what, number in sorted(tried.items()):
        terminalreporter.write_line(f"{number:>8,}  {what}")
