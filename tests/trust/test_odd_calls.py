"""Links and calls of any kind: the page opens in a sane state, and an endpoint answers in numbers or a sentence."""

import html
import json
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from urllib.parse import parse_qsl

import gradio as gr
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as some
from odd_inputs import ODD_TEXTS, ODD_VALUES, answered, check_sentence, tried

from app.address import address_of, linked_model, linked_state
from app.endpoints import Endpoints, _with_plain_errors
from app.menu import ModelMenu
from app.model_job import ModelJob
from app.parts.maps_panel import MapsPanel
from app.parts.retrieval_sliders import bounded
from app.views.adopt import plain_name
from app.views.compare import CompareView
from app.views.errors import ErrorsView
from app.views.label import LabelView
from app.views.memory import MemoryView
from app.views.query import QueryView
from app.views.train import TrainView
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.plots.links import OF_VIEW, VIEWS, PageState, page_state
from reaugkd.tasks.task import SPLITS

NAMES = ["models", "explain", "predict", "evaluate", "errors", "compare", "search_memory", "try_edits"]
SLIDERS = {"k": 16, "weight": 0.5, "temperature": 0.1, "as_fitted": True, "as_chosen": True}


@pytest.fixture(scope="module")
def page(puzzled_model, tmp_path_factory):
    """The views of a page with one model."""
    job = ModelJob(str(tmp_path_factory.mktemp("models") / "toy"))
    pool = Pool({"aligned": KeySettings(8, 0.1, 0.4), "text": KeySettings(8, 0.1, 0.3)}, 0.7)
    job.model = replace(puzzled_model, pool=pool)
    with gr.Blocks():
        menu, name, linked = ModelMenu(job), gr.Dropdown(), gr.State(PageState())
        stores = gr.BrowserState({}), gr.BrowserState({})
        maps = MapsPanel(menu, name, linked)
        views = {
            "query": QueryView(maps),
            "errors": ErrorsView(maps),
            "memory": MemoryView(maps, *stores),
            "compare": CompareView(maps),
            "label": LabelView(menu, name, stores[0]),
            "train": TrainView(menu, name, stores[0]),
        }
    return SimpleNamespace(menu=menu, maps=maps, **views)


@pytest.fixture
def calls_tried(short_or_whole, count):
    """Try a check on so many inputs of a kind, and count them."""

    def tried_(inputs, short, whole, check, what):
        made = []
        tried(short_or_whole(short, whole))(given(inputs)(lambda one: (made.append(1), check(one))[1]))()
        count(what, len(made))

    return tried_


WORDS = [
    "",
    "0",
    "1",
    "-1",
    "0.5",
    "2",
    "1e400",
    "nan",
    "inf",
    "-0",
    "1-3,5",
    "5-1",
    "1,,2",
    "0-99999999999",
    "١",
    "0x10",
    "None",
    "all",
]
WORDS += [
    "[]",
    "{}",
    "null",
    "3",
    '"a"',
    "{",
    "[" * 3_000,
    '{"1": "metal"}',
    '{"1": null}',
    '{"a": 1}',
    '{"99999": "metal"}',
]
WORDS += [
    '{"equal": {"label": "metal"}}',
    '{"equal": {"nothing": "1"}}',
    '{"equal": []}',
    '{"between": {"probability": [0, 1]}}',
]
WORDS += [
    '{"between": {"text": [0, 1]}}',
    '{"between": {"probability": ["nan", "inf"]}}',
    '{"confusion": {"equal": {"label": 3}}}',
]
WORDS += [
    '{"confusion": {"confusion": {}}}',
    '{"link": {"equal": {"topic": "home"}}}',
    "../../etc/passwd",
    "toy",
    "test",
    "validation",
    "train",
]
WORDS += [
    *VIEWS,
    "fixed",
    "label looks wrong",
    "near-duplicates",
    "text",
    "aligned",
    "label",
    "topic",
    "fitted",
    "edited",
    "probability",
]
PARTS = [*PageState.__dataclass_fields__, *{part for own in OF_VIEW.values() for part in own}, "nothing", "__theme"]
VALUES = some.one_of(some.sampled_from(WORDS), ODD_TEXTS, some.integers().map(str), some.floats().map(str))
LINKS = some.dictionaries(some.sampled_from(PARTS), VALUES, max_size=6)
LINKS = some.tuples(some.sampled_from(["", *VIEWS]), LINKS).map(lambda made: {"view": made[0]} | made[1])


def check_values(updates):
    """What a component gets is what it takes."""
    for part, value in updates.items():
        if isinstance(part, gr.Slider) and isinstance(value, int | float):
            bounded(part, value)
        elif isinstance(part, gr.HTML | gr.Textbox | gr.Code) and isinstance(value, str):
            assert "Traceback" not in value
            part.postprocess(value)


def test_any_link_opens_the_page_in_a_state_that_it_can_keep(page, calls_tried, monkeypatch):
    monkeypatch.setattr(gr, "Warning", lambda said: check_sentence(html.unescape(said)))

    def check(query):
        request = SimpleNamespace(query_params=query)
        state = linked_state(request)
        name = linked_model(page.menu, state)
        assert name == page.menu.first
        points = page.maps.linked_points(name, state)
        assert points == sorted(set(points), key=points.index) or len(points) <= len(state.selected)
        assert all(0 <= point < 1_000 for point in points)
        state = state if state.model else replace(state, model=name)
        filled = {
            "query": lambda: page.query.fill(name, None, "", "", state),
            "errors": lambda: page.errors.fill(name, state, points),
            "memory": lambda: page.memory.fill(name, state, points, {}, {}),
            "compare": lambda: page.compare.fill(name, state, points, "", ""),
        }
        for view in {state.view, "query"} & filled.keys():
            shown = filled[view]()
            check_values(shown)
            kept = (
                page.query.linked_state("iron", "", shown[page.query.question], **SLIDERS) if view == "query" else None
            )
            if view in ("errors", "compare") and shown[getattr(page, view).shown] is not None:
                kept = getattr(page, view).linked_state(
                    replace(state, view=view, of_view={}), shown[getattr(page, view).shown]
                )
            if kept is not None:
                kept = replace(kept, view=view)
                address, _ = address_of(kept)
                again = page_state(dict(parse_qsl(address.removeprefix("?"), keep_blank_values=True)))
                assert again.of_view == {
                    part: text.encode(errors="replace").decode() for part, text in kept.of_view.items()
                }

    calls_tried(LINKS, 25, 600, check, "links")


def arguments_of(name):
    """Calls of an endpoint with odd values among good ones."""
    good = {
        "text": some.just("iron and rain"),
        "texts": some.lists(ODD_TEXTS, max_size=3),
        "split": some.sampled_from([*SPLITS, "Test", ""]),
        "effect": some.sampled_from(["", "fixed", "Broken"]),
        "k": some.sampled_from([None, 1, 3.0, 10**9, 10**30]),
        "retrieval_weight": some.sampled_from([None, 0, 1, 0.5]),
        "temperature": some.sampled_from([None, 0.1, 1e-9]),
        "model": some.sampled_from(["", "toy", "../toy", "other"]),
        "first": some.sampled_from(["", "toy"]),
        "second": some.sampled_from(["", "toy"]),
        "limit": some.sampled_from([0, -5, 3, 10**9]),
        "show": some.sampled_from(["all", "edited", "label looks wrong"]),
        "edits": some.lists(
            some.dictionaries(
                some.sampled_from(["edit", "id", "label", "text"]),
                some.one_of(some.sampled_from(["add", "remove", "train-1", "new", "metal"]), ODD_VALUES),
                max_size=4,
            ),
            max_size=2,
        ),
    }
    taken = list(Endpoints.__dict__[name].__code__.co_varnames[1 : Endpoints.__dict__[name].__code__.co_argcount])
    each = {
        part: some.one_of(good.get(part, ODD_TEXTS), good.get(part, ODD_TEXTS), ODD_VALUES, ODD_TEXTS) for part in taken
    }
    return some.tuples(some.just(name), some.fixed_dictionaries({}, optional=each))


def test_any_call_of_an_endpoint_is_answered_or_told(page, calls_tried):
    endpoints = {name: _with_plain_errors(getattr(Endpoints(page.menu), name)) for name in NAMES}

    def check(made):
        name, named = made
        said = answered(endpoints[name], **named)
        if said is not None:
            json.dumps(said, allow_nan=False)
            orjson.dumps(said, default=list)  # as Gradio writes it: no number of more than 64 bits
            assert name != "predict" or len(said) == len(named["texts"])

    calls = some.one_of(*(arguments_of(name) for name in NAMES[1:]))
    calls_tried(calls, 30, 800, check, "calls of endpoints")


def test_texts_and_labels_of_any_kind_are_taken_by_the_forms_of_the_page(page, calls_tried):
    pieces = some.one_of(ODD_TEXTS, some.sampled_from(["iron", "", "metal", None]))

    def check(made):
        text, label = made
        now = {"name": "toy", "shown": None, "edits": {}, "kept": {}, "warned": ()}
        added = page.memory._add(text or "", "", label, **now)
        edits = added.get(page.memory.edits, {})
        check_values(added)
        if edits:
            page.memory.fill("toy", PageState(), [], edits, {})
            (edit,) = edits["toy"]
            assert edit["text"] == text
        page.memory._pin("toy", {}, {}, text or "", "", label)
        check_values(page.query._ask("toy", None, text or "", "", **SLIDERS))
        check_values(page.label.fill("toy", {}, page.label_log))
        page.label._give("toy", {}, replace(page.label_log, row=0), label)
        answered(page.menu.new_folder, text or "")
        assert plain_name(text or "")

    from app.views.label import Log

    page.label_log = Log()
    calls_tried(some.tuples(pieces, pieces), 8, 150, check, "texts in forms")


def test_the_form_of_a_training_says_what_is_wrong_before_it_starts(page, calls_tried, tmp_path):
    class Started(Exception):
        pass

    def start(*_):
        raise Started

    boxes = some.fixed_dictionaries(
        {
            **dict.fromkeys(("train", "test", "unlabelled"), some.sampled_from([None, "", "/nothing.csv"])),
            "name": some.one_of(ODD_TEXTS, some.just("")),
            "teacher": some.one_of(ODD_TEXTS, some.just("bert")),
            "student": some.one_of(ODD_TEXTS, some.just("bert")),
            "student_layers": some.one_of(some.integers(-2, 20), some.none()),
            "epochs": some.one_of(some.floats(), some.none(), some.integers(-2, 5)),
            "seed": some.one_of(some.integers(), some.none()),
            "keep_teacher": some.booleans(),
            "metric": some.sampled_from(["", "accuracy", "nothing"]),
            **dict.fromkeys(("text_column", "text_pair_column", "label_column"), some.one_of(some.none(), ODD_TEXTS)),
        }
    )

    def check(made):
        source, named, model_name = made
        page.train.train = start
        try:
            told = page.train._start(source, model_name, **named)
        except Started:
            return
        assert isinstance(told, Mapping)

    from app.views.train import FILE, HUB, SHIPPED

    calls_tried(
        some.tuples(some.sampled_from([SHIPPED, HUB, FILE]), boxes, ODD_TEXTS), 15, 200, check, "forms of trainings"
    )
