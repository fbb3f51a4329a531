"""A listener's parameters name its inputs, and its script is a file."""

from types import SimpleNamespace

import gradio as gr
import pytest

from app.listening import inputs_of, listen
from app.scripts import STATIC, script


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


def test_every_function_of_the_page_is_the_one_export_of_its_file():
    functions = [path for path in STATIC.glob("*.js") if path.stem not in ("map_canvas", "buttons", "label_keys")]
    assert functions
    for path in functions:
        assert path.read_text("utf-8").count("export default function") == 1, path
