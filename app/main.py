"""The app: ``python app/main.py``. The page opens at once; the model is loaded, or trained first, behind it."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

# Before gradio is imported: it asks for news and counts starts otherwise.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
for _name in ("NO_PROXY", "no_proxy"):  # gradio asks itself whether it is up; a proxy would not know
    os.environ[_name] = ",".join(filter(None, [os.environ.get(_name), "localhost,127.0.0.1"]))

import gradio as gr  # noqa: E402
from errors_view import ErrorsView  # noqa: E402
from memory_view import MemoryView  # noqa: E402
from model_job import ModelJob, train_shoptalk  # noqa: E402
from models import ModelMenu  # noqa: E402
from query_view import QueryView  # noqa: E402
from training_view import TrainingView  # noqa: E402

from reaugkd.errors import ReAugKDError  # noqa: E402

DEFAULT_MODEL = Path(__file__).parents[1] / "runs" / "shoptalk"
LOOKS: dict[str, Any] = {
    "theme": gr.themes.Default(
        primary_hue="blue",
        font=("system-ui", "sans-serif"),
        font_mono=("ui-monospace", "monospace"),
    ),
    "css_paths": [Path(__file__).with_name("style.css")],
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
        The page, and the endpoint ``/explain`` of its API.
    """
    menu = ModelMenu(job)

    def explain(
        text: str,
        text_pair: str = "",
        k: int | None = None,
        retrieval_weight: float | None = None,
        temperature: float | None = None,
    ) -> dict[str, Any]:
        """Answer a text and say what the answer is made of.

        Give text_pair where the model takes pairs. k, retrieval_weight (λ) and temperature (τ) are the chosen ones if
        left out. Returns the label, the class probabilities (combined, student, retrieved), the student's share, the
        k, λ and τ that were used, and the neighbours with similarity, weight, share and the teacher's soft labels.
        """
        model = menu.get(None)
        query: Any = (text, text_pair) if model.parts.settings.is_pair else text
        try:
            return model.explain(query, k=k, retrieval_weight=retrieval_weight, temperature=temperature).as_dict()
        except ReAugKDError as error:
            raise gr.Error(str(error)) from error

    with gr.Blocks(title="ReAugKD", analytics_enabled=False) as page:
        gr.Markdown("# A small model that looks things up in its teacher's memory")
        training = TrainingView(job)
        name = gr.Dropdown([menu.first], value=menu.first, label="Model", visible=False, elem_id="model")
        with gr.Tabs(visible=False, elem_id="views") as tabs:
            with gr.Tab("Query", id="query") as query_tab:
                query = QueryView(menu, name)
            with gr.Tab("Errors", id="errors") as errors_tab:
                errors = ErrorsView(menu, name)
            with gr.Tab("Memory", id="memory") as memory_tab:
                memory = MemoryView(menu, name)
        is_ready = gr.State(False)
        timer = gr.Timer(3)  # drawing the losses more often would take the processor from the training

        def look(drawn: int) -> dict[Any, Any]:
            done = {is_ready: True, timer: gr.Timer(active=False)} if job.model is not None else {}
            return training.draw(drawn) | done

        def show() -> dict[Any, Any]:
            return {tabs: gr.Tabs(visible=True), name: gr.Dropdown(menu.names(), value=menu.first, visible=True)}

        watch: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}
        outputs = [*training.outputs, is_ready, timer]
        gr.on([page.load, timer.tick], look, training.drawn, outputs, **watch)
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_id": "model"}
        is_ready.change(show, None, [tabs, name], **quiet)
        opened = gr.State("query")
        query_tab.select(lambda: "query", None, opened, queue=False, **quiet)
        gr.on([is_ready.change, name.change], query.fill, name, query.filled, **quiet)
        for tab, view in ((errors_tab, errors), (memory_tab, memory)):
            _fill_when_opened(tab, view, name, opened, **quiet)
        gr.api(explain, api_name="explain", concurrency_id="model")  # type: ignore[attr-defined]  # gradio does not list it
    return page


def _fill_when_opened(tab: gr.Tab, view: Any, name: gr.Dropdown, opened: gr.State, **options: Any) -> None:
    """Fill a view when it is opened for the first time, and again when another model is chosen."""
    filled_for = gr.State(None)

    def open_(name: str, now: str | None, *further: Any) -> dict[Any, Any]:
        new = {} if name == now else view.fill(name, *further)
        return {opened: tab.id, filled_for: name} | new

    def change(name: str, opened: str, *further: Any) -> dict[Any, Any]:
        return {filled_for: name} | view.fill(name, *further) if opened == tab.id else {filled_for: None}

    inputs = view.fill_inputs
    tab.select(open_, [name, filled_for, *inputs], [opened, filled_for, *view.filled], **options)
    name.change(change, [name, opened, *inputs], [filled_for, *view.filled], **options)


def launch(page: gr.Blocks, host: str, port: int) -> str:
    """Open the page to this machine only, unless another host is named; nothing is asked of the outside.

    Parameters
    ----------
    page : Blocks
        The page.
    host : str
        Address to listen on.
    port : int
        A free port.

    Returns
    -------
    str
        The page's address.
    """
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        share=False,
        quiet=True,
        run_history=False,
        prevent_thread_lock=True,
        footer_links=["api", "settings"],
        **LOOKS,
    )
    return str(address)


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
    chosen = parser.parse_args(arguments)
    job = ModelJob(chosen.model) if chosen.model else ModelJob(str(DEFAULT_MODEL), train_shoptalk)
    page = build_app(job)
    try:
        address = launch(page, chosen.host, chosen.port)
    except OSError as error:
        return _failed(f"{str(error).splitlines()[0].rstrip('.')}; name another one with --port.")
    job.start()
    sys.stdout.write(f"Open {address} (Ctrl+C ends it)\n")
    sys.stdout.flush()
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
