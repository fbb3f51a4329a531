"""Fills the HTML templates of the page; every value in them is shown as text."""

import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, FunctionLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"
# Gradio's HTML component fills templates of its own: what would be one in a user's text is escaped too.
FILLS_TEMPLATES = {ord(character): f"&#{ord(character)};" for character in "{}$`\\"}
FOLDERS = re.compile(r"""(?<=')/[^'\n]*/(?=[^'/]+')|(?<![\w:/.])/(?:[^/\s'"`]+/)+(?=[^/\s])""")


def escaped_text(text: str) -> str:
    """Escape a text so that a page shows it as text, also where it fills a template of Gradio."""
    return html.escape(text).translate(FILLS_TEMPLATES)


def without_folders(sentence: str) -> str:
    """Leave the server's folders out of the paths in a sentence: people know a file that they uploaded by its name."""
    return FOLDERS.sub("", sentence)


def _as_html(value: Any) -> Any:
    """Escape a value unless a template made it."""
    return value if hasattr(value, "__html__") else Markup(escaped_text(str(value)))  # noqa: S704 -- it escapes


def time_left(seconds: float) -> str:
    """Say a time as a person would: in seconds up to a minute and a half, then in minutes."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s left in this stage"
    return f"about {round(seconds / 60)} min left in this stage"


def _arguments(named: Mapping[str, Any]) -> str:
    """Write named arguments of a call; those that are left at nothing are left out."""
    return ", ".join(f"{name}={value!r}" for name, value in named.items() if value not in (None, "", {}, ()))


def _in_one_line(name: str) -> tuple[str, str, None]:
    """Load a template without the line breaks and the indentation of its source, so that none stands in the page."""
    path = TEMPLATES / name
    return "".join(line.strip() for line in path.read_text("utf-8").splitlines()), str(path), None


_HTML = Environment(loader=FunctionLoader(_in_one_line), autoescape=True, finalize=_as_html, undefined=StrictUndefined)
# JSON in an attribute: Jinja's own filter for it is for scripts.
_HTML.filters |= {"json": json.dumps, "without_folders": without_folders, "time_left": time_left}
_PLAIN = Environment(  # noqa: S701 -- what it gives is escaped where it is shown
    loader=FileSystemLoader(TEMPLATES),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_PLAIN.filters |= {"repr": repr, "arguments": _arguments}


def render(template: str, /, **values: Any) -> str:
    """Fill a template."""
    return str(_HTML.get_template(f"{template}.html").render(**values))


def fill(text: str, /, **values: Any) -> str:
    """Fill a template of plain text."""
    return _PLAIN.from_string(text).render(**values)


def fill_file(template: str, /, **values: Any) -> str:
    """Fill a file of ``app/templates`` that holds plain text, such as code."""
    return _PLAIN.get_template(template).render(**values)
