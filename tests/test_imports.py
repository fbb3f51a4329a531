"""The order of the files: each imports only from those before it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = (
    *(
        "errors",
        "files",
        "texts",
        "measures",
        "recipe",
        "networks",
        "tasks",
        "method",
        "model",
        "training",
        "estimator",
    ),
    *("analysis", "adoption", "plots", "study", "cli"),
)
"""Packages and files of ``reaugkd`` in the data's way."""
FILES = sorted(path for path in (ROOT / "reaugkd").rglob("*.py") if path.name != "__init__.py")


def module_of(path):
    """The name that a file is imported by."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imported(path):
    """The project's modules that a file names in an import, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "reaugkd":
            yield from {node.module} | {f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] == "reaugkd")


def in_a_type_only(path):
    """Modules that are imported for types alone: they make no circle when the code runs."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            found |= {inner.module for inner in ast.walk(node) if isinstance(inner, ast.ImportFrom)}
    return found


GRAPH = {
    module_of(path): {name for name in imported(path) if name in set(map(module_of, FILES))} - in_a_type_only(path)
    for path in FILES
}


def test_every_file_has_a_place_in_the_order():
    assert {name.split(".")[1] for name in GRAPH} == set(ORDER)


@pytest.mark.parametrize("module", GRAPH)
def test_a_file_imports_only_from_packages_before_its_own(module):
    place = ORDER.index(module.split(".")[1])
    assert [name for name in GRAPH[module] if ORDER.index(name.split(".")[1]) > place] == []


@pytest.mark.parametrize("module", GRAPH)
def test_no_file_imports_itself_in_a_circle(module):
    reached, waiting = set(), [module]
    while waiting:
        new = GRAPH[waiting.pop()] - reached
        reached |= new
        waiting += new
    assert module not in reached
