"""What follows the settings of a page."""

from collections import defaultdict

import gradio as gr

from app.model_job import ModelJob
from app.page import build_app


def test_no_two_listeners_of_one_event_hold_back_their_last_call(tmp_path):
    """Each would start the other anew when it has answered, and the page would ask its server for ever.

    A state's change is told to each of its listeners by itself.
    """
    page = build_app(ModelJob(str(tmp_path / "toy")))
    holding = defaultdict(list)
    for function in page.fns.values():
        for component, event in function.targets:
            is_shared = component is not None and not isinstance(page.blocks.get(component), gr.State)  # None: a chain
            if is_shared and function.trigger_mode == "always_last":
                holding[component, event].append(function.name)
    assert len(holding) > 50
    assert {target: names for target, names in holding.items() if len(names) > 1} == {}
