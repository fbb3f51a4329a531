"""Boxes of text that are answered as one types."""

import gradio as gr
from typed_text import on_typing

# Gradio draws a box that may have several lines as a textarea, and one of a single line as an input.
PAGE = '<div id="long"><label><textarea></textarea></label></div><div id="short"><label><input></label></div>'


def test_a_box_is_read_where_it_stands_whether_it_has_one_line_or_several(browser):
    with gr.Blocks() as blocks:
        other, long, short = gr.State(), gr.Textbox(elem_id="long"), gr.Textbox(elem_id="short", max_lines=1)
        on_typing([long, short], lambda *_: {}, [other, long, short], [])
    (listener,) = blocks.fns.values()
    page = browser.new_page()
    page.set_content(PAGE)
    page.locator("#long textarea").fill("plum")
    page.locator("#short input").fill("pear")
    assert page.evaluate(f"({listener.js})('other', 'old', 'old', 'an output')") == ["other", "plum", "pear"]
    page.close()
