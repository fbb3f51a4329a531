"""The page: its views, how each is filled when it is opened, and how all follow the model that is chosen."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr
from gradio.events import Dependency

from reaugkd.plots.links import PageState

from .address import keep_address, linked_model, linked_state
from .computed import import_analysis
from .endpoints import add_endpoints
from .listening import ALL_ROWS, ASKING, AT_ONCE, IN_PAGE, LATEST, MAPS, Updates, inputs_of, listen, once_filled
from .menu import ModelMenu
from .model_job import ModelJob
from .parts.maps_panel import MapsPanel
from .parts.typed_text import read_boxes
from .scripts import script, source
from .views.compare import CompareView
from .views.errors import ErrorsView
from .views.label import LabelView
from .views.learn import LearnView
from .views.memory import MemoryView
from .views.query import QueryView
from .views.train import TrainView
from .views.training import TrainingView

MISSED_AFTER = 5  # seconds


def build_app(job: ModelJob, takes_folders: bool = True) -> gr.Blocks:
    """Build the page; that of others than the server's owner takes no folders of the server."""
    menu = ModelMenu(job, takes_folders)

    with gr.Blocks(title="ReAugKD", analytics_enabled=False) as page:
        with gr.Row(elem_id="header"):
            gr.Markdown("# A small model that looks things up in a memory")
            # Nothing is chosen before the page shows: so it is known whether what shows it has arrived.
            name = gr.Dropdown([], label="Model", visible=False, elem_id="model", scale=0, min_width=280)
            lecture: dict[str, Any] = {"html_template": source("lecture.html"), "js_on_load": source("lecture.js")}
            gr.HTML(**lecture, apply_default_css=False, elem_id="lecture")
        training = TrainingView(job)
        linked, opened = gr.State(PageState()), gr.State("query")
        answering = gr.State(menu.first)  # the model that was chosen last and could be loaded
        # Outside of the tabs that use them, so that they are read before these are opened; they keep no secret.
        solved, edits, kept, form = (
            gr.BrowserState({}, storage_key=f"reaugkd-{key}", secret="reaugkd")  # noqa: S106
            for key in ("solved", "pending", "kept", "train")
        )
        with gr.Column(visible=False, render=False) as below:
            maps = MapsPanel(menu, name, linked)
        with gr.Tabs(visible=False, elem_id="views") as tabs:
            views = {
                "learn": _in_tab("Learn", lambda: LearnView(menu, name, solved), opened),
                "query": _in_tab("Query", lambda: QueryView(maps), opened),
                "errors": _in_tab("Errors", lambda: ErrorsView(maps), opened),
                "memory": _in_tab("Memory", lambda: MemoryView(maps, edits, kept), opened),
                "label": _in_tab("Label", lambda: LabelView(menu, name, edits), opened),
                "compare": _in_tab("Compare", lambda: CompareView(maps), opened),
                "train": _in_tab("Train", lambda: TrainView(menu, name, form), opened),
            }
        below.render()

        def show(request: gr.Request, showing: str | None) -> Updates:
            if job.model is None or showing:
                raise gr.Error("There is nothing new to show.", visible=False, print_exception=False)
            state = linked_state(request)
            chosen = linked_model(menu, state)
            return {
                training.timer: gr.Timer(active=False),
                tabs: gr.Tabs(visible=True, selected=state.view),
                below: gr.Column(visible=True),
                name: gr.Dropdown(menu.names(), value=chosen, visible=True),
                linked: state if state.model else replace(state, model=chosen),
                maps.selected: maps.linked_points(chosen, state),
                answering: chosen,
            }

        def choose(asked: str, now: str) -> Updates:
            if asked == now:  # the menu also sends this when it is left: what follows would take back what was done
                raise gr.Error(f"{asked} answers already.", visible=False, print_exception=False)
            menu.get(asked)  # no page follows a model that cannot be loaded
            # A link is of the model that it opened, and so are the points that are selected.
            return {name: asked, answering: asked, linked: PageState(), maps.selected: []}

        watched = gr.on([page.load, training.timer.tick], training.draw, training.drawn, training.outputs, **AT_ONCE)
        # The clock ends by what shows the page: should that not arrive, the next tick sends it again.
        pages = [training.timer, tabs, below, name, linked, maps.selected, answering]
        shown = watched.success(show, name, pages, **ASKING)
        # In the queue of the pages that are filled: none is filled for a model that is not there yet.
        chosen = name.input(choose, [name, answering], [name, answering, linked, maps.selected], **ALL_ROWS)
        chosen.failure(lambda name: name, answering, name, queue=False, **AT_ONCE)
        query = views["query"][1]
        for event in (shown.success, chosen.success):
            answered = listen(query, event, query.fill, query.filled, **LATEST)
            # The answer first, and others beside it: the maps take seconds.
            listen(maps, answered.then, maps.fill, maps.filled, **MAPS)
        for key, (tab, view) in views.items():
            if key != "query":
                _fill_when_opened(tab, view, name, chosen, opened)
        views["memory"][1].train_set.lead_to_training(views["train"][1], tabs)
        views["label"][1].to_memory.click(lambda: gr.Tabs(selected="memory"), None, tabs, **AT_ONCE)
        _ask_on_query(views["errors"][1], query, tabs, opened)
        keep_address({key: views[key][1] for key in ("query", "errors", "memory", "compare")}, maps, name, opened)
        page.load(None, js=script("leave_menus"), **IN_PAGE)
        # Gradio's page does not get an answer that comes while its stream of answers closes, until the next event.
        gr.Timer(MISSED_AFTER).tick(lambda: None, **AT_ONCE)
        add_endpoints(menu)
    return page


def _in_tab(title: str, make: Callable[[], Any], opened: gr.State) -> tuple[gr.Tab, Any]:
    """Place a view in a tab of its own, which says when it is opened."""
    with gr.Tab(title, id=title.lower()) as tab:
        view = make()
    # Through the queue: a browser learns of a state's change only by events that went through it.
    tab.select(partial(str, tab.id), None, opened, **AT_ONCE)
    return tab, view


def _ask_on_query(errors: ErrorsView, query: QueryView, tabs: gr.Tabs, opened: gr.State) -> None:
    """Ask a row that is opened on Errors on the page Query, at its top."""

    @once_filled
    def ask(shown: Any, row: int, **asked: Any) -> Updates:
        answered = query.put(texts=errors.opened_texts(shown, row), **asked)
        return {tabs: gr.Tabs(selected="query"), opened: "query", **answered}

    inputs = {"shown": errors.shown, "row": errors.row, **inputs_of(query, query.put)}
    put = errors.ask.click(ask, None, [tabs, opened, *query.put_in], inputs_kwargs=inputs, **LATEST)
    put.then(None, js=script("scroll_to", element="#views", block="start"), **IN_PAGE)


def _fill_when_opened(tab: gr.Tab, view: Any, name: gr.Dropdown, chosen: Dependency, opened: gr.State) -> None:
    """Fill a view when it is opened for the first time, and again when another model is chosen."""
    filled_for = gr.State(None)

    def fill(name: str, filled: str | None = None, opened: Any = tab.id, **further: Any) -> Updates:
        import_analysis()
        if opened != tab.id:
            return {filled_for: None}
        return {filled_for: name} | ({} if name == filled else view.fill(name, **further))

    # What is being typed stands in the page before Gradio has taken it: the filling would answer the text before.
    boxes, outputs = getattr(view, "texts", ()), [filled_for, *view.filled]
    for event, state in ((tab.select, {"filled": filled_for}), (chosen.success, {"opened": opened})):
        inputs = {"name": name} | state | inputs_of(view, view.fill)
        event(fill, None, outputs, inputs_kwargs=inputs, js=read_boxes(boxes, inputs) if boxes else None, **ALL_ROWS)
