"""Faults to plant, each with the test that must catch it; a plugin: ``PLANTED=NAME pytest -p planted TEST``."""

import os

FAULTS = {
    "a skipped fsync": (
        "from reaugkd import files; files.sync = lambda *given, **named: None",
        "tests/test_files.py::test_all_is_on_the_disk_before_it_takes_its_place_and_the_place_is_after",
    ),
    "a file that is written in its place": (
        "from reaugkd import files; files._writing = lambda path: path",
        "tests/test_files.py::test_a_file_is_written_whole_or_stays_as_it_was",
    ),
    "a sum that is not checked": (
        "from reaugkd.model import folder; folder._check_files = lambda *given, **named: None",
        "tests/model/test_folder.py::test_a_single_changed_byte_is_noticed",
    ),
    "a newer version that is read": (
        "from reaugkd.model import folder; folder.FORMAT_VERSION = type('', (int,), {'__ne__': lambda *_: False})(6)",
        "tests/model/test_folder.py::test_another_format_version_is_one_sentence_whatever_else_the_file_holds",
    ),
    "an unescaped text": (
        "from app import rendering; rendering.escaped_text = str",
        "tests/trust/test_odd_texts.py::test_the_page_shows_each_text_as_text",
    ),
    "a formula in a CSV file": (
        "import re; from reaugkd import files; files.COMPUTED = re.compile('(?!)')",
        "tests/trust/test_csv_texts.py::test_texts_that_look_like_formulas_are_text_in_a_spreadsheet_and_the_same_when_read",
    ),
    "a name that leads out of the folder": (
        "import re; from app import menu; menu.PLAIN_NAME = re.compile('(?s).*')",
        "tests/trust/test_paths.py::test_a_new_model_lies_beside_the_first_one",
    ),
    "passwords that may be tried for ever": (
        "from app import accounts; accounts.TTLCache = "
        "lambda *given: type('Forgets', (dict,), {'__setitem__': lambda *given: None})()",
        "tests/app/test_accounts.py::test_after_several_wrong_passwords_even_the_right_one_waits_and_then_is_let_in",
    ),
    "a page of another site that may ask": (
        "from app import guard; guard.Guard._refused = lambda *given: None",
        "tests/app/test_guard.py::test_pages_of_other_sites_may_neither_ask_nor_change",
    ),
    "half a character that is let through": (
        "from reaugkd import texts; plain = texts.check_text; texts.check_text = "
        "lambda text, name: plain(text.encode('utf-8', 'replace').decode() if isinstance(text, str) else text, name)",
        "tests/trust/test_odd_texts.py::test_half_a_character_is_told_at_each_door",
    ),
    "neighbours of another text": (
        "import numpy as np; from reaugkd.method.memory import Memory; plain = Memory.search; Memory.search = "
        "lambda *given: tuple(np.roll(part, 1, axis=0) for part in plain(*given))",
        "tests/trust/test_same_answers.py::test_the_searches_find_what_numpy_finds_in_float64",
    ),
    "a training without a seed": (
        "from reaugkd.method import distillation, projection, teacher; from reaugkd.networks import trainer\n"
        "for part in (distillation, projection, teacher, trainer): part.set_seed = lambda seed: None",
        "tests/trust/test_same_answers.py::test_the_same_seed_gives_the_same_model_and_the_same_metrics",
    ),
}


def pytest_sessionstart():
    """Plant the fault, after the environment is set and before a test is imported."""
    exec(FAULTS[os.environ["PLANTED"]][0], {})
