"""Scripts of the page, from ``app/static``: a function of JavaScript each, called with what Python says."""

import json
from pathlib import Path
from typing import Any

STATIC = Path(__file__).parent / "static"


def source(name: str) -> str:
    """Return a file of ``app/static``, such as the ``js_on_load`` of a component."""
    return (STATIC / name).read_text(encoding="utf-8")


def source_with(name: str, *functions: str) -> str:
    """Return a file of ``app/static`` below the functions that it calls, each of a file of its own."""
    return "\n".join([*(_function(function) for function in functions), source(name)])


def script(name: str, **options: Any) -> str:
    """Return the ``js`` of an event."""
    return f"(...values) => ({_function(name)})({json.dumps(options)}, ...values)"


def _function(name: str) -> str:
    return source(f"{name}.js").strip().split("export default ")[1]
