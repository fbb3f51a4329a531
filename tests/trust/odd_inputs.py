"""What people may send by mistake, and the one promise: a right answer, or a sentence that says what to do."""

import re
from pathlib import Path

import gradio as gr
import numpy as np
import pandas as pd
from hypothesis import HealthCheck, settings
from hypothesis import strategies as some

from reaugkd.errors import ReAugKDError

LONGEST = 300  # characters of a sentence
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|\([^()]*\)")  # what the person wrote, and what a parser said of it
PYTHON = re.compile(
    r"object of type|object at 0x|<class|Traceback|\b(NoneType|dict|ndarray|np\.\w+|PosixPath|Timestamp)\b"
    r"|\b\w+(Error|Exception)\b|\bhas no attribute|not subscriptable|not iterable|\bargument \d|\bC error"
)


def check_sentence(said):
    """One line, one full stop, at its end; short; in the words of the field, and not in Python's."""
    assert said, "it says nothing"
    assert len(said.splitlines()) == 1, f"more than one line: {said!r}"
    assert said.endswith("."), f"no full stop: {said}"
    assert len(said) <= LONGEST, f"{len(said)} characters: {said}"
    bare = QUOTED.sub("", said)
    assert not PYTHON.search(bare), f"{PYTHON.search(bare).group()!r} is Python's: {said}"
    assert not re.search(r"[.!?] +[A-Z]", bare), f"more than one sentence: {said}"


def answered(call, *arguments, **named):
    """Return what a call answers, or None where it says in a sentence why it cannot; no other error comes through."""
    try:
        return call(*arguments, **named)
    except ReAugKDError as error:
        check_sentence(str(error))
    except gr.Error as error:
        check_sentence(getattr(error, "sentence", error.message))
    return None


def tried(number):
    """Let hypothesis make so many examples, always the same."""
    return settings(
        max_examples=number, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )


def on_plane(plane):
    return some.characters(min_codepoint=plane << 16, max_codepoint=(plane << 16) + 0xFFFF, exclude_categories=["Cs"])


CONTROLS = some.characters(categories=["Cc", "Cf", "Zl", "Zp"])  # line separators and marks of direction too
RIGHT_TO_LEFT = some.characters(min_codepoint=0x590, max_codepoint=0x8FF, exclude_categories=["Cs"])
ALONE = some.characters(categories=["Cs"])
SNIPPETS = [
    *("<script>alert(1)</script>", "{{7*7}}", "${alert(1)}", "{% raw %}", "=1+1", "@SUM(A1)", "'; DROP", "a\rb", "\0"),
    *(
        "</textarea>",
        "\\",
        '"',
        "'",
        '"""',
        "\u202eabc",
        "\ufeffiron",
        "e\u0301",
        "👩‍👩‍👧‍👦",
        "null",
        "NaN",
        "a,b\nc",
        "\x1b[31m",
    ),
]
PIECES = some.one_of(
    *(some.text(on_plane(plane), max_size=8) for plane in range(17)),
    some.text(CONTROLS, max_size=8),
    some.text(RIGHT_TO_LEFT, max_size=20),
    some.text(max_size=40),
    some.sampled_from(SNIPPETS),
    some.just("iron and rain"),
)
WHOLE_TEXTS = some.lists(PIECES, max_size=4).map(" ".join)
LONG = some.tuples(WHOLE_TEXTS, some.sampled_from([200, 5_000, 99_999, 100_000, 100_001])).map(
    lambda made: ((made[0] or "é") * made[1])[: made[1]]
)
BROKEN = some.tuples(WHOLE_TEXTS, ALONE).map("".join)
ODD_TEXTS = some.one_of(WHOLE_TEXTS, WHOLE_TEXTS, WHOLE_TEXTS, some.text(min_size=1, max_size=1), BROKEN)

NUMBERS = some.one_of(
    some.integers(-3, 3),
    some.integers(),
    some.floats(),
    some.sampled_from([True, False, 10**400, 1e-320, -0.0, 1e308, float("nan"), float("inf")]),
)
ODD_VALUES = some.one_of(
    some.none(),
    NUMBERS,
    some.text(max_size=8),
    some.sampled_from(["", "3", "nan", "1e3", "x" * 1_000, "a\nb", "\ud800", b"3", b"\xff", 1j, object(), object, len]),
    some.sampled_from([pd.NA, pd.NaT, pd.Timestamp("2026-01-01"), Path("x"), range(3), {1, 2}, np.array([1.0, 2.0])]),
    some.sampled_from([np.float32(0.5), np.int64(3), np.bool_(True), np.array(3), np.str_("a"), np.float64("nan")]),
    some.sampled_from(
        [pd.DataFrame({"text": ["iron"]}), pd.Series(["iron"]), (), {}, [], [[]], [None], {"text": "iron"}]
    ),
    some.lists(some.one_of(some.none(), some.integers(), some.text(max_size=5)), max_size=3),
    some.dictionaries(some.text(max_size=5), some.integers(), max_size=3),
)
