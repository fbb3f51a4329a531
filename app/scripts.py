"""Scripts of the page, from ``app/static``: a function of JavaScript each, called with what Python says."""

import json
from pathlib import Path
from typing import Any

STATIC = Path(__file__).parent / "static"


def source(name: str) -> str:
    """Return a file of ``app/static``, such as the ``js_on_load`` of a component."""
    return (STATIC / name).read_text(encoding="utf-8")


def script(name: str, **options: Any) -> str:
    """Return the ``js`` of an event."""
    _, function = source(f"{name}.js").strip().split("export default ")
    return f"(...values) => ({function})({json.dumps(options)}, ...values)"
