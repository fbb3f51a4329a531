"""Imports gradio so that it asks the network for nothing, and in half the time. Import this file before gradio."""

import inspect
import os
import sys
from collections import ChainMap
from types import SimpleNamespace
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # it asks for news and counts starts otherwise
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
# After each answer it would make a table of the last 10,000, for a page of figures that is not shown here.
os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "1"
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
    from gradio import blocks, processing_utils, state_holder
finally:
    inspect.getfile = _file_of
    del sys.modules["mcp"]


async def _fetch_nothing(url: str) -> Any:  # noqa: ARG001 -- Gradio would draw the address in a sentence as HTML
    raise gradio.Error("This server fetches nothing from other addresses; upload the file.")


processing_utils.async_ssrf_protected_get = _fetch_nothing  # a file of a request may be named by an address

_begin_session = state_holder.SessionState.__init__


def _begin_small_session(session: Any, page: Any) -> None:
    shared = page.default_config
    _begin_session(session, SimpleNamespace(default_config=SimpleNamespace(blocks={}), blocks=()))  # type: ignore[arg-type]
    session.blocks_config = own = blocks.BlocksConfig(shared.root_block)
    own.blocks, own.fns, own.fn_id = ChainMap({}, shared.blocks), ChainMap({}, shared.fns), shared.fn_id  # type: ignore[assignment]
    own.config_for_block = lambda *_: {}  # type: ignore[method-assign]


# When a session begins, gradio copies the lists of all components, 40 kB, and for its own links to a state, which this
# page has no use for, describes each component anew; then those that an event has changed. A program that asks one
# question has a session for it, which gradio keeps, and waited twice as long for that as for the answer. Here a session
# has what was changed for it, and reads the rest from the page.
state_holder.SessionState.__init__ = _begin_small_session  # type: ignore[assignment]
