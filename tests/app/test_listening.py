"""A listener's parameters name its inputs, and its script is a file."""

from types import SimpleNamespace

import gradio as gr
import pytest

from app.listening import inputs_of, listen
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
