"""No name and no path that the page or a program sends leaves the folders of models and uploads."""

import os
import shutil
import uuid
from functools import partial
from pathlib import Path
from urllib.parse import quote

import gradio as gr
import httpx
import pytest
from gradio.utils import get_upload_folder
from hypothesis import given, settings
from hypothesis import strategies as st
from ports import free_port

from app.menu import ModelMenu
from app.model_job import ModelJob
from app.page import build_app
from app.parts.problem import Problem
from app.serve import launch
from app.views.train import FILE, HUB, SHIPPED, TrainView
from reaugkd.errors import ReAugKDError

SECRET = "the secret words of this machine"


@pytest.fixture(scope="module")
def root(tmp_path_factory, toy_model_folder):
    """A folder of models, and beside it a secret table and a whole model that nobody may open."""
    root = tmp_path_factory.mktemp("paths")
    (root / "models").mkdir()
    shutil.copytree(toy_model_folder, root / "models" / "toy")
    shutil.copytree(toy_model_folder, root / "private")
    (root / "secret.csv").write_text(f"text,label\n{SECRET},a\n{SECRET} too,b\n")
    (root / "models" / "link.csv").symlink_to(root / "secret.csv")
    return root


@pytest.fixture(scope="module")
def job(root, toy_model):
    job = ModelJob(str(root / "models" / "toy"))
    job.model = toy_model
    return job


@pytest.fixture(scope="module")
def page(job):
    return build_app(job)


@pytest.fixture(scope="module")
def client(page):
    address = launch(page, "127.0.0.1", free_port())
    with httpx.Client(base_url=address, timeout=60) as client:
        yield client
    page.close()


def ways_to(target, start):
    """Ways to write a path that leads to a file or folder elsewhere."""
    up = os.path.relpath(target, start)
    far = "../" * 20 + str(target).lstrip("/")
    yield from (str(target), up, far, f"./{up}", f"x/../{up}", up.replace("/", "\\"), f"toy/../../{target.name}")
    yield from (
        f"file://{target}",
        f"/{target}",
        f"~/../..{target}",
        f"\\\\localhost\\c$\\{target.name}",
        f"C:\\{target.name}",
    )
    yield from (f"{up}\0", f"{up}\0.csv", f"toy\0/../{up}", f"{target}/.", f"//localhost{target}", f"{up} ", f"{up}\n")
    yield from (
        quote(up, safe=""),
        quote(quote(up, safe=""), safe=""),
        up.replace("..", "%2e%2e"),
        up.replace("/", "%c0%af"),
    )
    yield from (up.replace("..", "...."), up.replace("../", "..././"), up.replace("..", "．．"), up.replace("/", "∕"))
    yield from ("a/" * 2_000 + up, f"/proc/self/root{target}", f"/proc/self/cwd/{os.path.relpath(target)}", "/dev/fd/0")


OTHERS = [
    "/etc/passwd",
    "/proc/self/environ",
    "/proc/self/maps",
    "/root/.ssh/id_rsa",
    "/",
    ".",
    "..",
    "",
    "~",
    "\0",
    "con",
    "a" * 5_000,
]


def names_of(root):
    return [*ways_to(root / "private", root / "models"), *OTHERS, "../private", "link.csv", "toy/keys", "toy/."]


def test_a_model_is_opened_only_by_its_name_in_the_menu(client, root, job, count):
    menu = ModelMenu(job)
    assert menu.names() == ["toy"]
    for name in (name for name in names_of(root) if name):
        with pytest.raises(Problem, match="There is no model"):
            menu.get(name)
        count("model names that lead elsewhere")
    for name in names_of(root)[::5]:
        if name:
            for door in ("models", "explain", "evaluate"):
                assert SECRET not in client.get("/", params={"model": name, "view": door}).text


def test_every_endpoint_refuses_a_name_that_leads_elsewhere(client, root, short_or_whole, count):
    arguments = {
        "explain": ["iron", "", None, None, None],
        "predict": [["iron"], None],
        "evaluate": ["test", None, None, None],
    }
    arguments |= {"errors": ["test", "", "", 5], "search_memory": ["all", "", 5], "try_edits": [[]], "compare": []}
    for number, name in enumerate(name for name in names_of(root) if name):
        for place, (endpoint, given_) in enumerate(arguments.items()):
            if number % short_or_whole(99, 1) == 0 or place == number % len(arguments):
                data = [*given_, name] if endpoint != "compare" else ["toy", name, "test"]
                called = client.post(f"/gradio_api/call/{endpoint}", json={"data": data})
                said = client.get(f"/gradio_api/call/{endpoint}/{called.json()['event_id']}").text
                assert "event: error" in said
                assert "There is no model" in said
                count("model names that lead elsewhere")


def test_a_new_model_lies_beside_the_first_one(root, short_or_whole, count):
    menu, tried = ModelMenu(ModelJob(str(root / "models" / "toy"))), 0
    pieces = st.sampled_from(["..", "/", "\\", "a", ".", "~", " ", "\0", "\n", "%2e", "C:", "toy", "．", "-", "mine"])

    def at(name):
        try:
            folder = menu.new_folder(name)
        except ReAugKDError:
            return
        assert folder.resolve().parent == menu.root
        assert not folder.exists()
        assert not folder.name.startswith((".", "-", "~"))

    @settings(max_examples=short_or_whole(100, 2_000), deadline=None, database=None, derandomize=True)
    @given(st.one_of(st.text(max_size=80), st.lists(pieces, max_size=8).map("".join)))
    def any_name(name):
        nonlocal tried
        tried += 1
        at(name)

    any_name()
    for name in names_of(root):
        at(name)
    count("names of new models", tried + len(names_of(root)))


def fetched(client, path):
    """What comes back from a path; nothing where the server closes the connection, since it is none in HTTP."""
    try:
        answer = client.get(path)
    except (httpx.RemoteProtocolError, httpx.ReadError):
        return 400, ""
    return answer.status_code, answer.text


FILE_DOORS = ["file=", "file/", "custom_component/"]
FILE_DOORS = ["/static/", "/assets/", "/svelte/", *(f"/gradio_api/{door}" for door in FILE_DOORS)]


def test_the_file_routes_give_nothing_from_elsewhere(client, root, short_or_whole, count):
    targets = [root / "secret.csv", root / "models" / "toy" / "reaugkd.json", Path(__file__), Path("/etc/passwd")]
    every = []
    for target in targets:
        content = target.read_text("utf-8")[:200]
        ways = [*ways_to(target, root / "models"), *ways_to(target, Path.cwd())]
        paths = {quote(way, safe=safe) for way in ways for safe in ("/.", "")}
        every += [(f"{door}{path}", content) for door in FILE_DOORS for path in sorted(paths) if len(path) < 8_000]
    for path, content in every[:: short_or_whole(11, 1)]:
        status, text = fetched(client, path)
        assert content not in text
        assert status >= 400
        count("paths at the file routes")
    for address in (
        "http://127.0.0.1:1/x",
        "https://example.com/x",
        "HTTP://example.com",
        "//example.com/x",
        "file:///etc/passwd",
    ):
        for path in (address, quote(address, safe="")):
            assert fetched(client, f"/gradio_api/file={path}")[0] >= 400
            assert fetched(client, f"/gradio_api/proxy={path}")[0] >= 400
            count("addresses at the file routes", 2)


def sent_file(client, page, dependency, place, path):
    """Send a file to a listener by its number, as a page does; return all that comes back."""
    inputs = page.config["dependencies"][dependency]["inputs"]
    file = {"path": path, "orig_name": "rows.csv", "size": 10, "meta": {"_type": "gradio.FileData"}}
    file |= {"url": path} if "://" in path else {}
    data = [file if number == place else None for number in range(len(inputs))]
    session = uuid.uuid4().hex
    asked = {"data": data, "fn_index": dependency, "session_hash": session, "trigger_id": None}
    joined = client.post("/gradio_api/queue/join", json=asked)
    if joined.status_code != 200:
        return joined.text
    return client.get("/gradio_api/queue/data", params={"session_hash": session}).text


def test_no_listener_takes_a_file_that_nobody_uploaded(client, page, root, monkeypatch, short_or_whole, count):
    fetched = []
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", lambda *given: fetched.append(given) or 1 / 0)
    kinds = {part["id"]: part["type"] for part in page.config["components"]}
    doors = [
        (number, place)
        for number, dependency in enumerate(page.config["dependencies"])
        for place, part in enumerate(dependency["inputs"])
        if kinds.get(part) in ("file", "uploadbutton") and dependency["backend_fn"]
    ]
    assert len(doors) >= 6
    ways = [
        *ways_to(root / "secret.csv", root / "models"),
        "http://127.0.0.1:1/rows.csv",
        "https://hf.co/rows.csv",
        "https://example.com/rows.csv",
    ]
    for number, door in enumerate(doors):
        for way in ways[number % 13 :: short_or_whole(13, 1)]:
            said = sent_file(client, page, *door, way)
            assert SECRET not in said
            assert '"success":true' not in said.replace(" ", "")
            count("files that nobody uploaded")
    assert fetched == []


def test_a_file_that_was_uploaded_is_taken_and_its_name_leads_nowhere(client, page, root, count):
    kinds = {part["id"]: part["type"] for part in page.config["components"]}
    before = set(root.rglob("*"))
    for name in [*ways_to(root / "new.csv", root / "models"), "../../new.csv", "/etc/cron.d/new.csv", "..", "."]:
        sent = client.post("/gradio_api/upload", files={"files": (name[:200], b"text,label\na,b\n", "text/csv")})
        if sent.status_code == 200:
            (path,) = sent.json()
            assert Path(path).resolve().is_relative_to(Path(get_upload_folder()).resolve())
            assert Path(path).read_bytes() == b"text,label\na,b\n"
            assert ".." not in Path(path).parts
        count("names of uploads")
    assert set(root.rglob("*")) == before
    sent = client.post("/gradio_api/upload", files={"files": ("rows.csv", b"text,label\na,b\n")}).json()[0]
    door = next(
        (number, 0)
        for number, asked in enumerate(page.config["dependencies"])
        if len(asked["inputs"]) == 1 and kinds.get(asked["inputs"][0]) == "file" and asked["backend_fn"]
    )
    assert '"success":true' in sent_file(client, page, *door, sent).replace(" ", "")


def test_one_cannot_guess_where_another_ones_upload_lies(client):
    first, second = (
        client.post("/gradio_api/upload", files={"files": ("rows.csv", text)}).json()[0] for text in (b"a", b"b")
    )
    assert len(Path(first).parent.name) >= 32
    assert Path(first).parent != Path(second).parent
    for folder in (Path(first).parent, Path(first).parents[1]):
        assert client.get(f"/gradio_api/file={folder}").status_code == 403  # no list of what lies there


def test_the_page_of_others_takes_no_folders_of_the_server(root, count):
    with gr.Blocks():
        menus = {
            open_: ModelMenu(ModelJob(str(root / "models" / "toy")), takes_folders=not open_) for open_ in (True, False)
        }
        views = {open_: TrainView(menu, gr.Dropdown(), gr.BrowserState({})) for open_, menu in menus.items()}
    adopted = {"train": "rows.csv", "test": "test.csv"}
    for name in names_of(root):
        if name in ("con", "link.csv", "toy/keys"):  # names on the hub can be so
            continue
        given_ = {"name": name, "teacher": "owner/name", "student": "owner/name"}
        asked = [partial(views[True].adopting.wanted, name, **adopted), partial(views[True]._wanted, HUB, **given_)]
        for source in (SHIPPED, FILE):
            for part in ("teacher", "student"):
                given_ = {
                    "name": "",
                    "train": "rows.csv",
                    "test": None,
                    "teacher": "owner/name",
                    "student": "owner/name",
                }
                asked += [partial(views[True]._wanted, source, **given_ | {part: name})] * bool(name)
        for ask in asked:
            with pytest.raises(ReAugKDError, match="takes no folders of the server|There is no"):
                ask()
            count("folders that a page names")
    for name in ("owner/name", "bert-base-uncased"):
        views[True].adopting.wanted(name, **adopted)
        views[True]._wanted(HUB, name=f"{name}:config", teacher=name, student=name)
    views[False].adopting.wanted(str(root / "private"), **adopted)  # one's own machine
