"""The app: ``python app/main.py``. The page opens at once; the model is loaded, or trained first, behind it."""

import argparse
import importlib
import sys
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import before_gradio  # noqa: F401
import gradio as gr
import gradio.mcp
from compare_view import CompareView
from endpoints import add_endpoints
from errors_view import ErrorsView
from gradio.events import Dependency
from learn_view import LearnView
from maps_panel import MapsPanel
from memory_view import MemoryView
from model_job import ModelJob, train_shoptalk
from models import SETTINGS_FILE, ModelMenu, import_analysis
from query_view import QueryView
from row_table import ALL_ROWS
from train_view import TrainView
from training_view import TrainingView

from reaugkd.errors import ReAugKDError
from reaugkd.links import PageState, app_link, page_state

HEAD_START = 3.0  # seconds
LARGEST_UPLOAD = "50mb"
LONGEST_ADDRESS = 8_000  # characters; browsers send the address, and servers refuse longer ones
DEFAULT_MODEL = Path(__file__).parents[1] / "runs" / "shoptalk"
LOOKS: dict[str, Any] = {
    "theme": gr.themes.Default(
        primary_hue="blue",
        font=("system-ui", "sans-serif"),
        font_mono=("ui-monospace", "monospace"),
    ),
    "css_paths": sorted(Path(__file__).parent.glob("*.css")),
}


def build_app(job: ModelJob) -> gr.Blocks:
    """Build the page.

    Parameters
    ----------
    job : ModelJob
        Gets the model.

    Returns
    -------
    Blocks
        The page, and the endpoints of its API.
    """
    menu = ModelMenu(job)

    with gr.Blocks(title="ReAugKD", analytics_enabled=False) as page:
        gr.Markdown("# A small model that looks things up in its teacher's memory")
        training = TrainingView(job)
        name = gr.Dropdown([menu.first], value=menu.first, label="Model", visible=False, elem_id="model")
        is_ready, linked, opened = gr.State(False), gr.State(PageState()), gr.State("query")
        answering = gr.State(menu.first)  # the model that was chosen last and could be loaded
        # Outside of the tab that uses it, so that it is read before that is opened; it keeps no secret.
        kept = gr.BrowserState({}, storage_key="reaugkd-lessons", secret="reaugkd")
        with gr.Column(visible=False, render=False) as below:
            maps = MapsPanel(menu, name)
        with gr.Tabs(visible=False, elem_id="views") as tabs:
            with gr.Tab("Query", id="query") as query_tab:
                query = QueryView(menu, name, maps)
            with gr.Tab("Errors", id="errors") as errors_tab:
                errors = ErrorsView(menu, name, maps, linked)
            with gr.Tab("Memory", id="memory") as memory_tab:
                memory = MemoryView(menu, name, maps, linked)
            with gr.Tab("Compare", id="compare") as compare_tab:
                compare = CompareView(menu, name, maps, linked)
            with gr.Tab("Train", id="train") as train_tab:
                train = TrainView(menu, name)
            with gr.Tab("Learn", id="learn") as learn_tab:
                learn = LearnView(menu, name, kept)
        below.render()
        timer = gr.Timer(1)

        def look(drawn: int) -> dict[Any, Any]:
            job.is_awaited.set()
            if job.model is not None:
                return training.draw(drawn) | {is_ready: True, timer: gr.Timer(active=False)}
            # Drawing the losses more often would take the processor from the training.
            return training.draw(drawn) | ({timer: gr.Timer(3)} if job.is_training else {})

        def show(request: gr.Request) -> dict[Any, Any]:
            state = linked_state(request)
            chosen = linked_model(menu, state)
            return {
                tabs: gr.Tabs(visible=True, selected=state.view),
                below: gr.Column(visible=True),
                name: gr.Dropdown(menu.names(), value=chosen, visible=True),
                linked: state if state.model else replace(state, model=chosen),
                answering: chosen,
            }

        def choose(asked: str) -> dict[Any, Any]:
            menu.get(asked)  # no page follows a model that cannot be loaded
            # A link is of the model that it opened, and so are the points that are selected.
            return {name: asked, answering: asked, linked: PageState(), maps.selected: []}

        watch: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}
        outputs = [*training.outputs, is_ready, timer]
        gr.on([page.load, timer.tick], look, training.drawn, outputs, **watch)
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_id": "model"}
        beside = quiet | {"concurrency_id": "maps"}
        whole = quiet | {"concurrency_id": ALL_ROWS["concurrency_id"]}
        latest: dict[str, Any] = {"trigger_mode": "always_last"}
        shown = is_ready.change(show, None, [tabs, below, name, linked, answering], **quiet)
        # In the queue of the pages that are filled: none is filled for a model that is not there yet.
        chosen = name.input(choose, name, [name, answering, linked, maps.selected], **latest, **whole)
        chosen.failure(lambda name: name, answering, name, queue=False, **quiet)
        # Not past the queue: a browser is told of a state's change only by events that went through it.
        query_tab.select(lambda: "query", None, opened, **watch)
        for event in (shown.then, chosen.success):
            answered = event(query.fill, [name, *query.fill_inputs, linked], query.filled, **latest, **quiet)
            # The answer first, and others beside it: the maps take seconds.
            filled = answered.then(maps.fill, name, maps.filled, **latest, **beside)
            selected = filled.then(maps.show_link, [name, linked], [maps.map, *maps.listed], **latest, **beside)
            memory.follow(selected)
            for follower in (errors, compare):
                follower.follow_link(selected)
        for tab, view in (
            (errors_tab, errors),
            (memory_tab, memory),
            (compare_tab, compare),
            (train_tab, train),
            (learn_tab, learn),
        ):
            tab.select(partial(str, tab.id), None, opened, **watch)
            _fill_when_opened(tab, view, name, chosen, opened, **latest, **whole)
        _keep_link(query, errors, memory, compare, name, opened, **watch)
        add_endpoints(menu)
    return page


def linked_state(request: gr.Request) -> PageState:
    """Return what the page's link asks for; a warning in the page where it is malformed."""
    try:
        return page_state(dict(request.query_params))
    except ReAugKDError as error:
        gr.Warning(str(error))
        return PageState()


def linked_model(menu: ModelMenu, linked: PageState) -> str:
    """Return the model that a link names, or else the first; a warning in the page where it cannot be loaded."""
    if not linked.model:
        return menu.first
    try:
        menu.get(linked.model)
    except gr.Error as error:
        gr.Warning(f"{error.message} The first model, {menu.first!r}, answers in its place.")
        return menu.first
    return linked.model


def address_of(state: PageState) -> str:
    """Return the query of the address that opens a state; of one that is too long, without selection, then text."""
    link = app_link(state, "")
    for left_out in ({"selected": ()}, {"text": "", "text_pair": ""}):
        if len(link) > LONGEST_ADDRESS:
            state = replace(state, **left_out)
            link = app_link(state, "")
    return link


def _keep_link(
    query: QueryView,
    errors: ErrorsView,
    memory: MemoryView,
    compare: CompareView,
    name: gr.Dropdown,
    opened: gr.State,
    **options: Any,
) -> None:
    """Keep the page's address such that it opens what is seen."""
    views: dict[str, Any] = {"query": query, "errors": errors, "memory": memory, "compare": compare}
    parts = [part for view in views.values() for part in view.seen]
    watched: list[Any] = [name, opened, query.maps.selected, *parts]
    address = gr.Textbox(visible=False)

    def link(name: str, opened: str, selected: Any, *values: Any) -> str:
        left, seen = iter(values), {}
        for key, view in views.items():
            seen[key] = list(islice(left, len(view.seen)))
        state = replace(query.linked_state(*seen["query"]), view=opened, model=name, selected=tuple(selected))
        if opened in ("errors", "memory", "compare"):
            state = views[opened].linked_state(state, *seen[opened])
        return address_of(state)

    changed = gr.on([part.change for part in watched], link, watched, address, trigger_mode="always_last", **options)
    changed.then(None, address, js="link => { history.replaceState(null, '', link); }", api_visibility="private")


def _fill_when_opened(
    tab: gr.Tab, view: Any, name: gr.Dropdown, chosen: Dependency, opened: gr.State, **options: Any
) -> None:
    """Fill a view when it is opened for the first time, and again when another model is chosen."""
    filled_for = gr.State(None)

    def open_(name: str, now: str | None, *further: Any) -> dict[Any, Any]:
        import_analysis()
        return {filled_for: name} | ({} if name == now else view.fill(name, *further))

    def change(name: str, opened: str, *further: Any) -> dict[Any, Any]:
        import_analysis()
        return {filled_for: name} | view.fill(name, *further) if opened == tab.id else {filled_for: None}

    inputs = view.fill_inputs
    tab.select(open_, [name, filled_for, *inputs], [filled_for, *view.filled], **options)
    chosen.success(change, [name, opened, *inputs], [filled_for, *view.filled], **options)


def launch(
    page: gr.Blocks, host: str, port: int, *, accounts: list[tuple[str, str]] | None = None, mcp: bool = False
) -> str:
    """Open the page to this machine only, unless another host is named; nothing is asked of the outside.

    Parameters
    ----------
    page : Blocks
        The page.
    host : str
        Address to listen on.
    port : int
        A free port.
    accounts : list of (str, str), optional
        Names and passwords of those who may open it; everyone if left out.
    mcp : bool
        Offer the endpoints as MCP tools too.

    Returns
    -------
    str
        The page's address.
    """
    if mcp:
        importlib.reload(gradio.mcp)  # it was imported without mcp
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        share=False,
        quiet=True,
        run_history=False,
        prevent_thread_lock=True,
        auth=accounts,
        max_file_size=LARGEST_UPLOAD,
        mcp_server=mcp,
        footer_links=["api", "settings"],
        **LOOKS,
    )
    return str(address)


def read_accounts(path: str | Path) -> list[tuple[str, str]]:
    """Read who may open the page.

    Parameters
    ----------
    path : str or Path
        A text file: ``name:password`` on each line; lines that begin with # are notes.

    Returns
    -------
    list of (str, str)
        Names and passwords.

    Raises
    ------
    ReAugKDError
        If the file is missing, names nobody, or a line is not of this form.
    """
    if not Path(path).is_file():
        raise ReAugKDError(f"There is no file {str(path)!r}; write name:password on each of its lines.")
    accounts = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            name, colon, password = line.strip().partition(":")
            if not (name and colon and password):
                raise ReAugKDError(f"Line {number} of {str(path)!r} is not of the form name:password; mend it.")
            accounts.append((name, password))
    if not accounts:
        raise ReAugKDError(f"The file {str(path)!r} names nobody; write name:password on each of its lines.")
    return accounts


def main(arguments: list[str] | None = None) -> int:
    """Start the app.

    Parameters
    ----------
    arguments : list of str, optional
        The command line.

    Returns
    -------
    int
        Exit status.
    """
    parser = argparse.ArgumentParser(description="Ask a retrieval-augmented student and see what it retrieves.")
    parser.add_argument("--model", metavar="FOLDER", help="a trained model; shoptalk, trained if need be, if left out")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=7860, help="port to listen on (default: %(default)s)")
    parser.add_argument("--auth", metavar="FILE", help="let in only those whom FILE lists, name:password on each line")
    parser.add_argument("--mcp", action="store_true", help="offer the endpoints as MCP tools too")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.auth and chosen.mcp:
            raise ReAugKDError("MCP tools cannot log in; leave out --mcp, or --auth and whoever is not to ask them.")
        accounts = read_accounts(chosen.auth) if chosen.auth else None
    except ReAugKDError as error:
        return _failed(str(error))
    job = ModelJob(chosen.model) if chosen.model else ModelJob(str(DEFAULT_MODEL), train_shoptalk)
    page = build_app(job)
    try:
        address = launch(page, chosen.host, chosen.port, accounts=accounts, mcp=chosen.mcp)
    except OSError as error:
        return _failed(f"{str(error).splitlines()[0].rstrip('.')}; name another one with --port.")
    sys.stdout.write(f"Open {address} (Ctrl+C ends it)\n")
    sys.stdout.flush()
    if not chosen.model or (Path(chosen.model) / SETTINGS_FILE).is_file():  # else there is a sentence to say at once
        job.is_awaited.wait(HEAD_START)  # loading takes the processor: a page that is opened at once is drawn first
    job.start()
    if chosen.model:
        job.wait()
        if job.error:
            page.close()
            return _failed(job.error)
    page.block_thread()
    return 0


def _failed(sentence: str) -> int:
    sys.stderr.write(sentence + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
