"""Imports gradio so that it asks the network for nothing, and in half the time. Import this file before gradio."""

import inspect
import os
import sys
from types import SimpleNamespace
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # it asks for news and counts starts otherwise
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
for _name in ("NO_PROXY", "no_proxy"):  # gradio asks itself whether it is up; a proxy would not know
    os.environ[_name] = ",".join(filter(None, [os.environ.get(_name), "localhost,127.0.0.1"]))
# Where JupyterLab is installed, jsonschema, which gradio imports, would build a grammar of addresses for over a second.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

_file_of = inspect.getfile


def _no_file(defined: Any) -> str:
    if str(getattr(defined, "__module__", "")).startswith("gradio."):
        raise OSError("gradio's components need no interface files here")
    return _file_of(defined)


# Each component, when it is defined, parses its own source to write an interface file for editors beside it, for over a
# second in all; one without a source, gradio lets be.
inspect.getfile = _no_file  # type: ignore[assignment]
# Gradio imports mcp for its tools, which takes half a second: serve.launch imports it where they are wanted.
sys.modules["mcp"] = None  # type: ignore[assignment]
try:
    import gradio
    from gradio import processing_utils, state_holder
finally:
    inspect.getfile = _file_of
    del sys.modules["mcp"]


async def _fetch_nothing(url: str) -> Any:  # noqa: ARG001 -- Gradio would draw the address in a sentence as HTML
    raise gradio.Error("This server fetches nothing from other addresses; upload the file.")


processing_utils.async_ssrf_protected_get = _fetch_nothing  # a file of a request may be named by an address

_begin_session = state_holder.SessionState.__init__


def _begin_small_session(session: Any, blocks: Any) -> None:
    _begin_session(session, SimpleNamespace(default_config=blocks.default_config, blocks=()))  # type: ignore[arg-type]
    session.blocks_config.config_for_block = lambda *_: {}


# For its own links to a state, which this page has no use for, gradio describes each component anew: of all the page
# when a session begins, then what an event has changed. A program that asks one question has a session for it, and
# waited twice as long for that as for the answer.
state_holder.SessionState.__init__ = _begin_small_session  # type: ignore[assignment]
