"""What programs can ask: the endpoints by gradio_client, the same as MCP tools, and who is let in."""

import asyncio
import json
import re
import shutil
import time
from http.client import HTTPConnection

import gradio as gr
import httpx
import pytest
from gradio.blocks import BlocksConfig
from gradio_client import Client
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from ports import free_port

from app.accounts import ABOUT_TRIES, WAITS, Accounts, hashed
from app.endpoints import Endpoints, _with_plain_errors
from app.menu import ModelMenu
from app.model_job import ModelJob
from app.page import build_app
from app.serve import launch
from reaugkd.analysis.comparison import compare
from reaugkd.analysis.edit_effects import halves
from reaugkd.analysis.edits import Edit, apply_patch
from reaugkd.analysis.error_analysis import summary

ENDPOINTS = ["models", "explain", "predict", "evaluate", "errors", "compare", "search_memory", "try_edits"]


def as_sent(value):
    return json.loads(json.dumps(value))


@pytest.fixture(scope="module")
def address(toy_model_folder, tmp_path_factory):
    """A page with two models, its endpoints offered as MCP tools too."""
    root = tmp_path_factory.mktemp("models")
    shutil.copytree(toy_model_folder, root / "toy")
    shutil.copytree(toy_model_folder, root / "other")
    job = ModelJob(str(root / "toy"))
    job.start()
    job.wait()
    page = build_app(job)
    yield launch(page, "127.0.0.1", free_port(), mcp=True)
    page.close()


@pytest.fixture(scope="module")
def client(address):
    return Client(address, verbose=False)


@pytest.fixture(scope="module")
def answered(toy_model):
    return toy_model.answer(toy_model.encode_rows(toy_model.held_out(["test"])))


def test_the_public_endpoints_are_these_and_each_is_documented(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert list(endpoints) == [f"/{name}" for name in ENDPOINTS]
    names = [parameter["parameter_name"] for parameter in endpoints["/explain"]["parameters"]]
    assert names == ["text", "text_pair", "k", "retrieval_weight", "temperature", "model"]
    assert "Answer a text and say what the answer is made of" in endpoints["/explain"]["description"]
    assert all(endpoint["description"] for endpoint in endpoints.values())


@pytest.mark.slow  # it is idle for six seconds
def test_an_idle_connection_stays_open_so_that_no_question_meets_its_end(address):
    connection = HTTPConnection(address.removeprefix("http://").strip("/"))
    for idle in (0, 6):  # a server that leaves uvicorn's 5 s ends it just when many clients would use it again
        time.sleep(idle)
        connection.request("GET", "/gradio_api/info")
        assert connection.getresponse().read()


def test_every_model_beside_the_first_is_named(client):
    assert client.predict(api_name="/models") == ["toy", "other"]


def test_an_answer_is_the_librarys(client, toy_model):
    assert client.predict("iron and rain", api_name="/explain") == as_sent(toy_model.explain("iron and rain").as_dict())
    settings = {"k": 3, "retrieval_weight": 1.0, "temperature": 0.05}
    answer = client.predict("iron and rain", **settings, model="other", api_name="/explain")
    assert answer == as_sent(toy_model.explain("iron and rain", **settings).as_dict())


def test_several_texts_are_classified_in_their_order(client, toy_model):
    texts = ["iron and steel", "plum and pear", "rain"]
    said = client.predict(texts, api_name="/predict")
    assert [row["label"] for row in said] == toy_model.predict(texts).tolist()
    assert [row["is_sure"] for row in said] == [True] * 3  # it has no threshold
    assert [row["probability"] for row in said] == pytest.approx(toy_model.predict_proba(texts).max(axis=1), abs=1e-5)
    with pytest.raises(AppError, match="257 texts are too many"):
        client.predict(["iron"] * 257, api_name="/predict")


def test_of_a_text_that_is_cut_both_endpoints_say_how_many_words_were_read(client, toy_model):
    text = "the old iron and the new rain " * 6
    words = toy_model.explain(text).words_read
    assert words < len(text.split())
    assert client.predict(text, api_name="/explain")["words_read"] == words
    assert [row["words_read"] for row in client.predict([text, "iron"], api_name="/predict")] == [words, None]


def test_the_evaluation_is_the_librarys(client, answered):
    assert client.predict(api_name="/evaluate") == as_sent({"metric": "accuracy", **summary(answered, "accuracy")})
    with pytest.raises(AppError, match="There are no 'train' rows"):
        client.predict("train", api_name="/evaluate")


def test_wrong_answers_are_listed_with_what_each_voice_says(client, answered):
    table = answered.table()
    wrong = table[table["answer"] != table["label"]]
    listed = client.predict(api_name="/errors")
    assert [row["text"] for row in listed] == wrong["text"].tolist()[:50]
    all_rows = client.predict(effect="none", limit=2, api_name="/errors")
    assert [row["text"] for row in all_rows] == table[table["effect"] == "none"]["text"].tolist()[:2]


def test_two_models_are_compared(client, answered):
    found = client.predict("toy", "other", api_name="/compare")
    assert found["counts"] == compare(answered, answered, "accuracy").counts
    assert found["difference"] == {"mean": 0, "low": 0, "high": 0}


def test_edits_are_tried_out_and_nothing_is_saved(client, toy_model, answered):
    row = toy_model.memory.rows.iloc[3]
    edits = [{"edit": "remove", "id": row["id"]}, {"edit": "add", "id": "mine", "label": "gadget", "text": "it hums"}]
    edited = apply_patch(toy_model, tuple(Edit(**edit) for edit in edits))
    judging, _ = halves(answered.encoded)
    changed = edited.answer(judging).predicted["answer"] != toy_model.answer(judging).predicted["answer"]
    found = client.predict(edits, api_name="/try_edits")
    assert len(found["rows"]) == changed.sum()
    (memory,) = client.predict("most used", row["text"], 1, api_name="/search_memory")
    assert memory["text"] == row["text"]
    with pytest.raises(AppError, match="Edit 1 has a 'name'; an edit is made of edit, id, label, text, text_pair"):
        client.predict([{"edit": "remove", "name": "x"}], api_name="/try_edits")
    with pytest.raises(AppError, match="is nothing to show; choose one of label looks wrong"):
        client.predict("best", api_name="/search_memory")


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ({"text": "  "}, "Text 1 is empty; write at least a word"),
        ({"text": "a" * 100_001}, "Text 1 has 100,001 characters"),
        ({"text": "iron", "k": 0}, "k is 0; it must be at least 1"),
        ({"text": "iron", "retrieval_weight": 2.0}, "it must be from 0 to 1"),
        ({"text": "iron", "model": "../toy"}, "There is no model '../toy'"),
        ({"text": "iron", "k": "4"}, "k is '4'; it must be a whole number"),
        ({"text": None}, "text is None; it must be text"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(client, question, sentence):
    with pytest.raises(AppError, match=sentence):
        client.predict(**question, api_name="/explain")


def test_values_of_another_kind_are_refused_with_a_sentence(client):
    with pytest.raises(AppError, match="texts is 'iron'; it must be a list"):
        client.predict("iron", api_name="/predict")
    with pytest.raises(AppError, match="effect is 'Broken'; it must be one of fixed, broken, changed, none"):
        client.predict(effect="Broken", api_name="/errors")
    with pytest.raises(AppError, match="edits is None; it must be a list"):
        client.predict(None, api_name="/try_edits")


def test_it_is_said_that_the_model_is_not_there_yet(tmp_path):
    page = build_app(ModelJob(str(tmp_path)))
    address = launch(page, "127.0.0.1", free_port())
    with pytest.raises(AppError, match="The model is not there yet"):
        Client(address, verbose=False).predict("iron", api_name="/explain")
    page.close()


def test_the_same_are_mcp_tools_with_a_description_of_every_argument(address, toy_model):
    async def asked_a_tool():
        async with (
            streamable_http_client(f"{address}gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            explain = next(tool.name for tool in tools if tool.name.endswith("explain"))
            return tools, await session.call_tool(explain, {"text": "iron and rain"})

    tools, answer = asyncio.run(asked_a_tool())
    assert [next(name for name in ENDPOINTS if tool.name.endswith(name)) for tool in tools] == ENDPOINTS
    for tool in tools:
        assert all(about.get("description") for about in tool.inputSchema["properties"].values()), tool.name
    assert toy_model.explain("iron and rain").label in answer.content[0].text


@pytest.fixture
def guarded(toy_model, tmp_path):
    """A page that lets in only Ada, and its address."""
    job = ModelJob(str(tmp_path / "toy"))
    job.model = toy_model
    page = build_app(job)
    yield page, launch(page, "127.0.0.1", free_port(), accounts=Accounts({"ada": hashed("secret")}))
    page.close()


# What anyone may open: the page that asks for the name, and parts of Gradio without anything of a model or a person.
OPEN = r"/(assets|static|svelte|login|logout|theme\.css|robots\.txt|favicon\.ico|manifest\.json|pwa_icon).*|/|"
OPEN += r"/gradio_api/(user|token|app_id|theme\.css|startup-events|heartbeat|reset|cancel).*"
NEVER_THERE = "/(stream|vibe|undo-vibe|runs|run-history|custom_component|monitoring/1)"  # what this page does not use


def routes_of(page):
    """Every route of a page's server with its methods, its parameters filled in."""
    for route in page.app.routes:
        inner = route.effective_route_contexts() if hasattr(route, "effective_route_contexts") else [route]
        for one in inner:
            for method in getattr(one, "methods", None) or ():
                yield method, re.sub(r"\{[^}]*\}", "1", one.path)


def test_without_a_login_no_route_gives_anything(guarded, toy_model):
    page, address = guarded
    asked = sorted(set(routes_of(page)))
    assert ("POST", "/gradio_api/queue/join") in asked
    assert len(asked) > 60
    given = []
    for method, path in asked:
        if not re.fullmatch(OPEN, path):
            answer = httpx.request(method, f"{address}{path[1:]}", json={} if method == "POST" else None, timeout=60)
            wanted = (400, 403, 404, 405, 422) if re.search(NEVER_THERE, path) else (401,)
            given += [(method, path, answer.status_code, answer.text[:80])] * (answer.status_code not in wanted)
    assert given == []
    shown = httpx.get(address).text
    assert '"components":[]' in shown
    for text in (toy_model.memory.texts[0], toy_model.classes_[0], "toy"):
        assert text not in shown


def test_a_login_is_kept_where_no_script_and_no_other_site_gets_it(guarded):
    _, address = guarded
    sent = httpx.post(
        f"{address}login", data={"username": " ada ", "password": "secret"}
    )  # Gradio takes the spaces off
    cookies = sent.headers.get_list("set-cookie")
    assert sent.status_code == 200
    assert len(cookies) == 2
    assert all("HttpOnly" in cookie and re.search(r"=[\w-]{20,};", cookie) for cookie in cookies)
    forged = httpx.get(
        f"{address}config", headers={"cookie": cookies[1].split(";")[0], "origin": "http://evil.example"}
    )
    assert forged.status_code == 403


def test_after_several_wrong_passwords_one_has_to_wait_and_the_page_says_so(guarded):
    _, address = guarded
    tried = [httpx.post(f"{address}login", data={"username": "ada", "password": "x"}) for _ in range(11)]
    assert [answer.status_code for answer in tried] == [400] * 10 + [429]
    assert tried[-1].json()["detail"] == WAITS
    assert httpx.post(f"{address}login", data={"username": "ada", "password": "secret"}).status_code == 429
    assert ABOUT_TRIES in httpx.get(address).text


def test_only_those_who_are_named_are_let_in(guarded):
    _, address = guarded
    assert httpx.get(f"{address}config").status_code == 401
    with pytest.raises(Exception, match="Could not login|401|credentials|auth"):
        Client(address, verbose=False, auth=("ada", "wrong"))
    known = Client(address, verbose=False, auth=("ada", "secret"))
    assert known.predict(api_name="/models") == ["toy"]


def test_a_file_that_is_too_large_is_not_taken(address):
    for size, status in ((1_000, 200), (51 * 2**20, 413)):
        with httpx.Client(timeout=60) as client:
            sent = client.post(f"{address}gradio_api/upload", files={"files": ("rows.csv", b"a" * size)})
        assert sent.status_code == status


def test_a_question_of_a_program_makes_gradio_describe_none_of_the_pages_components(client, monkeypatch):
    described = []
    monkeypatch.setattr(BlocksConfig, "config_for_block", lambda *given: described.append(given) or {})
    client.reset_session()
    client.predict("some iron", api_name="/explain")
    assert described == []


def test_a_call_that_lacks_what_it_needs_is_told(toy_model):
    job = ModelJob("toy")
    job.model = toy_model
    with pytest.raises(gr.Error) as told:
        _with_plain_errors(Endpoints(ModelMenu(job)).predict)()
    assert told.value.message == "The call has no texts, which it needs."
