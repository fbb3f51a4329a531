"""The page's address: what it asks for when the page is opened, and what is kept in it as the page is used."""

from dataclasses import replace
from typing import Any

import gradio as gr

from reaugkd.errors import ReAugKDError
from reaugkd.plots.links import PageState, app_link, page_state

from .listening import AT_ONCE, IN_PAGE, Updates, inputs_of
from .menu import ModelMenu
from .parts.maps_panel import MapsPanel
from .parts.problem import Problem, warn
from .parts.throttle import throttled
from .scripts import script

LONGEST_ADDRESS = 8_000  # characters; browsers send the address, and servers refuse longer ones


def linked_state(request: gr.Request) -> PageState:
    """Return what the page's link asks for; a warning in the page where it is malformed."""
    try:
        return page_state(dict(request.query_params))
    except ReAugKDError as error:
        warn(error)
        return PageState()


def linked_model(menu: ModelMenu, linked: PageState) -> str:
    """Return the model that a link names, or else the first; a warning in the page where it cannot be loaded."""
    if not linked.model:
        return menu.first
    try:
        menu.get(linked.model)
    except Problem as error:
        warn(f"{error.sentence.removesuffix('.')}; the first model, {menu.first!r}, answers in its place.")
        return menu.first
    return linked.model


def address_of(state: PageState) -> tuple[str, str]:
    """Return the query of the address that opens a state, and what of it was left out since it would be too long."""
    link, missing = app_link(state, ""), []
    without = {"selection": ("selected",), "choice": ("of_view",), "text": ("text", "text_pair")}
    for called, parts in without.items():
        lighter = replace(state, **{part: getattr(PageState(), part) for part in parts})
        if len(link) > LONGEST_ADDRESS and lighter != state:
            state, link = lighter, app_link(lighter, "")
            missing.append(called)
    return link, " and ".join(missing)


def keep_address(views: dict[str, Any], maps: MapsPanel, name: gr.Dropdown, opened: gr.State) -> None:
    """Keep the page's address so that it opens what is seen."""
    inputs = {part: inputs_of(part, part.linked_state) for part in (maps, *views.values())}
    watched: set[Any] = {name, opened}.union(*(named.values() for named in inputs.values()))
    address = gr.Textbox(visible=False)
    missing = gr.State("")

    def link(now: dict[Any, Any]) -> Updates:
        def linked_by(part: Any, *state: PageState) -> PageState:
            return part.linked_state(*state, **{name: now[box] for name, box in inputs[part].items()})

        view = now[opened]
        asked = linked_by(views["query"])
        asked = replace(asked, view=view, model=now[name], of_view=asked.of_view if view == "query" else {})
        state = linked_by(maps, asked)
        if view != "query" and view in views:
            state = linked_by(views[view], state)
        query, lacking = address_of(state)
        if lacking and lacking != now[missing]:
            gr.Info(f"The page's address would be too long with the {lacking}: it opens the page without.")
        return {address: query, missing: lacking}

    changes = [part.change for part in watched]
    changed = throttled(changes, link, [address, missing], "keep-address", inputs={*watched, missing}, **AT_ONCE)
    changed.then(None, address, js=script("set_address"), **IN_PAGE)
