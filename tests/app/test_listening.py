"""A listener's parameters name its inputs, and its script is a file."""

from inspect import signature
from types import SimpleNamespace
from typing import get_type_hints

import gradio as gr
import pytest

from app.listening import STATES, inputs_of, listen, once_filled
from app.model_job import ModelJob
from app.page import build_app
from app.scripts import STATIC, script, source, source_with


@pytest.fixture
def view():
    with gr.Blocks():
        return SimpleNamespace(
            name=gr.Textbox(), button=gr.Button(), more_inputs={"k": gr.Slider(), "tau": gr.Slider()}
        )


def test_the_inputs_of_a_listener_are_the_components_of_its_parameters_names(view):
    def answer(event: gr.EventData, name, **more): ...

    assert inputs_of(view, answer) == {"name": view.name, **view.more_inputs}
    with pytest.raises(AttributeError, match="absent"):
        inputs_of(view, lambda absent: None)


def test_a_listener_gets_its_inputs_by_name():
    with gr.Blocks() as page:
        view = SimpleNamespace(first=gr.Textbox("a"), second=gr.Textbox("b"), button=gr.Button())
        listen(view, view.button.click, lambda second, first: {view.first: second, view.second: first}, [view.first])
    (listener,) = page.fns.values()
    assert listener.inputs == [view.second, view.first]
    assert listener.input_keyword_names == ["second", "first"]


def test_a_script_is_called_with_what_python_says_and_then_with_the_values():
    called = script("click", element='#a"b')
    assert called.startswith("(...values) => (function click({element}) {")
    assert called.endswith('})({"element": "#a\\"b"}, ...values)')


def test_a_script_stands_below_the_functions_that_it_calls():
    whole = source_with("map_canvas.js", "point_grid", "place_labels")
    assert whole.startswith("function pointGrid(places) {")
    assert whole.index("function placeLabels(labels, box) {") < whole.index(source("map_canvas.js"))
    assert "export" not in whole


def test_a_script_is_one_function_or_that_of_a_component():
    files = list(STATIC.glob("*.js"))
    assert files
    for path in files:
        text = path.read_text("utf-8")
        exports = text.count("export default function")
        assert exports == 1 or (exports == 0 and "element" in text), path


@pytest.fixture(scope="module")
def listeners(tmp_path_factory, toy_model):
    job = ModelJob(str(tmp_path_factory.mktemp("runs") / "toy"))
    job.model = toy_model
    return [listener for listener in build_app(job).fns.values() if listener.fn is not None and listener.inputs]


def brings_data(listener):
    hints = get_type_hints(listener.fn).values()
    return any(isinstance(hint, type) and issubclass(hint, gr.EventData) for hint in hints)


def test_no_event_that_brings_data_is_held_back(listeners):
    """Gradio's page sends an event that it held back with the data of the one that it waited for."""
    bringing = [listener for listener in listeners if brings_data(listener)]
    assert len(bringing) > 10
    assert [listener.name for listener in bringing if listener.trigger_mode != "multiple"] == []


def test_what_is_asked_of_a_page_before_it_is_filled_is_answered_without_an_error(listeners):
    """Its state is None: the page is not filled yet, or its server was started anew."""
    of_event = dict(row_value=[0], rows=[0], points=[0], number=0, row=0, point=0, pick="{}", column="text")
    event = SimpleNamespace(**of_event, label=0, model="toy", choice="skip", index=0)
    known = {"event": event, "name": "toy", "examples": 0, "point": 0, "upload": "absent.csv"}
    asked = 0
    for listener in listeners:
        values = {name: {} if isinstance(box, gr.BrowserState) else box.value for name, box in named_inputs(listener)}
        if any(values.get(state, True) is None for state in STATES):
            takes = signature(listener.fn).parameters
            listener.fn(**values | {name: value for name, value in known.items() if name in {*values, *takes}})
            asked += 1
    assert asked > 30


def named_inputs(listener):
    names = listener.input_keyword_names or [name for name in signature(listener.fn).parameters if name != "event"]
    return zip(names, listener.inputs, strict=False)


def test_a_listener_that_needs_a_filled_page_is_skipped_without_one():
    answer = once_filled(lambda event, shown, **sliders: (event, shown, sliders))
    assert answer("click", "page", k=3) == ("click", "page", {"k": 3})
    assert answer("click", None, k=3) == answer("click", shown=None) == gr.skip()


def test_a_listener_whose_state_may_be_none_is_asked_without_one_too():
    def answer(shown: str | None) -> str | None:
        return shown

    assert once_filled(answer)(shown=None) is None
