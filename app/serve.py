"""Serves the page, which opens at once; the model is loaded, or trained first, behind it."""

import argparse
import ctypes
import importlib
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import before_gradio  # noqa: F401

# isort: split
import gradio as gr
import gradio.mcp
from gradio.utils import LRUCache
from starlette.middleware import Middleware

from reaugkd.errors import ReAugKDError

from .accounts import ABOUT_TRIES, Accounts, ask_for_line, read_accounts
from .guard import LOOPBACK, Guard
from .model_job import ModelJob
from .page import build_app
from .training_process import train_shoptalk

LARGEST_UPLOAD = "50mb"
MOST_WAITING = 1_000  # questions in the queue
MOST_SESSIONS = 2_000  # of which gradio keeps messages
KEEP_ALIVE_S = 75  # clients end an idle connection first, many after 5 s: a question that meets the end is lost
HEAPS = 2
M_ARENA_MAX = -8  # of glibc's mallopt
DEFAULT_MODEL = Path("runs") / "shoptalk"
LOOKS: dict[str, Any] = {
    "theme": gr.themes.Default(
        primary_hue="blue",
        text_size=gr.themes.Size("12px", "13px", "14px", "15px", "16px", "22px", "26px"),
        font=("system-ui", "sans-serif"),
        font_mono=("ui-monospace", "monospace"),
    ).set(  # Gradio's own grey is too light on white to read, its blue under white, and what is not ticked in the dark
        body_text_color_subdued="*neutral_500",
        checkbox_border_color="*neutral_400",
        checkbox_border_color_dark="*neutral_500",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
    ),
    "css_paths": sorted((Path(__file__).parent / "static").glob("*.css")),
}


def launch(
    page: gr.Blocks,
    host: str,
    port: int,
    *,
    accounts: Accounts | None = None,
    mcp: bool = False,
    names: Iterable[str] = (),
) -> str:
    """Open the page to this machine only, unless another host is named; nothing is asked of the outside."""
    if mcp:
        importlib.reload(gradio.mcp)  # it was imported without mcp
    page.queue(max_size=MOST_WAITING)
    page._queue.pending_event_ids_session = LRUCache(MOST_SESSIONS)  # gradio never forgets one, and looks through all
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        share=False,
        quiet=True,
        run_history=False,
        prevent_thread_lock=True,
        auth=accounts and accounts.let_in,  # type: ignore[arg-type]  # gradio awaits it
        auth_message=ABOUT_TRIES if accounts else None,
        max_file_size=LARGEST_UPLOAD,
        mcp_server=mcp,
        footer_links=["api", "settings"],
        app_kwargs={
            "middleware": [Middleware(Guard, host=host, names=names, any_name=accounts is not None)],
            "openapi_url": None,  # FastAPI's own, which asks for no login; Gradio has another one
        },
        **LOOKS,
    )
    page.server.config.timeout_keep_alive = KEEP_ALIVE_S  # gradio leaves it at 5 s
    return str(address)


def main(arguments: list[str] | None = None, default: Path = DEFAULT_MODEL) -> int:
    """Start the app."""
    parser = argparse.ArgumentParser(
        prog="reaugkd app", description="Ask a retrieval-augmented student and see what it retrieves."
    )
    parser.add_argument("folder", nargs="?", help="a trained model; shoptalk, trained if need be, if left out")
    parser.add_argument("--model", metavar="FOLDER", help="the same")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=7860, help="port to listen on (default: %(default)s)")
    parser.add_argument("--auth", metavar="FILE", help="let in only those whom FILE lists")
    parser.add_argument("--password", metavar="NAME", help="ask for NAME's password and print its line for that FILE")
    parser.add_argument(
        "--name", action="append", default=[], help="a name by which this server is reached, such as that of a proxy"
    )
    parser.add_argument("--mcp", action="store_true", help="offer the endpoints as MCP tools too")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.password:
            sys.stdout.write(ask_for_line(chosen.password) + "\n")
        else:
            _serve(chosen, default)
    except ReAugKDError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _serve(chosen: argparse.Namespace, default: Path) -> None:
    """Serve the page until it is ended; refuse what cannot be served."""
    # glibc gives each thread a heap of its own, and of forty one keeps what another needs: here all share two.
    with suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, HEAPS)
    model = chosen.folder or chosen.model
    if chosen.auth and chosen.mcp:
        raise ReAugKDError("MCP tools cannot log in; leave out --mcp or --auth.")
    accounts = read_accounts(chosen.auth) if chosen.auth else None
    job = ModelJob(model) if model else ModelJob(str(default), train_shoptalk)
    is_private = chosen.host in LOOPBACK and accounts is None and not chosen.name
    page = build_app(job, takes_folders=is_private)
    try:
        address = launch(page, chosen.host, chosen.port, accounts=accounts, mcp=chosen.mcp, names=chosen.name)
    except OSError as error:
        raise ReAugKDError(f"{str(error).splitlines()[0].rstrip('.')}; name another one with --port.") from error
    sys.stdout.write(f"Open {address} (Ctrl+C ends it)\n")
    if chosen.host not in LOOPBACK and accounts is None:
        sys.stdout.write("Anyone who reaches this machine can use the page and save models; --auth admits only some.\n")
    sys.stdout.flush()
    job.start()
    if model:
        job.wait()
        if job.error:
            page.close()
            raise ReAugKDError(job.error)
    page.block_thread()
