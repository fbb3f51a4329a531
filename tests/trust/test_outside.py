"""Nothing is asked of the outside: the command line and the page run in a process that writes down whom it asks."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from gradio_client import Client
from ports import free_port

ROOT = Path(__file__).parents[2]
WATCHED = """
import json, sys
asked = open(sys.argv.pop(1), "a", buffering=1)
events = {"socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
def watch(event, given):
    if event in events:
        place = given[1] if event in ("socket.connect", "socket.sendto") else given
        host = place[0] if isinstance(place, tuple) else "a file"  # a socket of this machine
        asked.write(json.dumps([event, str(host)]) + "\\n")
    elif event == "subprocess.Popen":
        asked.write(json.dumps([event, " ".join(map(str, given[1]))]) + "\\n")
sys.addaudithook(watch)
"""
COMMANDS = """
import reaugkd.cli
for command in json.loads(sys.argv.pop(1)):
    sys.argv[1:] = command
    try:
        reaugkd.cli.main()
    except SystemExit as ended:
        assert not ended.code, command
"""
HERE = ("127.0.0.1", "localhost", "::1", "a file", "None")
FETCH = ("pip", "git", "curl", "wget")


def online():
    """The environment of a person: nothing says that the hub is not to be asked."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "GRADIO_"))}


@contextmanager
def running(script, *arguments, log):
    command = [sys.executable, "-c", WATCHED + script, str(log), *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=ROOT, env=online(), **pipes)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def outside(log):
    """Who was asked outside, and what was started that fetches."""
    asked = [json.loads(line) for line in log.read_text().splitlines()]
    started = [what for event, what in asked if event == "subprocess.Popen"]
    fetched = [command for command in started if any(Path(word).name in FETCH for word in command.split())]
    return [(event, host) for event, host in asked if event != "subprocess.Popen" and host not in HERE] + fetched


def test_it_is_seen_when_something_is_asked_of_the_outside(tmp_path):
    script = """
import socket, subprocess
def tried(ask):
    try: ask()
    except OSError: pass
tried(lambda: socket.create_connection(("127.0.0.1", 1), timeout=1))
tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"", ("192.0.2.1", 9)))
tried(lambda: socket.create_connection(("hub.invalid", 443), timeout=1))
tried(lambda: subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True))
"""
    with running(script, log=tmp_path / "asked") as process:
        assert process.wait(60) == 0
    found = outside(tmp_path / "asked")
    assert ("socket.sendto", "192.0.2.1") in found
    assert ("socket.getaddrinfo", "hub.invalid") in found
    assert sum("pip" in str(one) for one in found) == 1
    assert len(found) == 3


@pytest.mark.slow
def test_the_command_line_asks_nobody(
    toy_model_folder, toy_encoder_folder, toy_classifier_folder, toy_task, tmp_path, count
):
    for split in ("train", "validation", "test"):
        toy_task.table(split).to_csv(tmp_path / f"{split}.csv", index=False)
    rows = ["--train", str(tmp_path / "train.csv"), "--test", str(tmp_path / "test.csv")]
    model, small = str(toy_model_folder), ["--max-length", "16", "--seed", "0"]
    own = ["--teacher", str(toy_encoder_folder), "--student", str(toy_encoder_folder), "--student-layers", "1"]
    commands = [
        ["info", model],
        ["predict", model, "iron and steel"],
        ["weights", str(toy_encoder_folder)],
        ["evaluate", model, "--data", str(tmp_path / "test.csv"), "--json"],
        ["threshold", model, "--accuracy", "0.5", "--out", str(tmp_path / "sure")],
        ["train-set", model, "--out", str(tmp_path / "corrected.csv")],
        ["train", *rows, *own, "--epochs", "1", "--teacher-epochs", "1", *small, "--out", str(tmp_path / "mine")],
        ["adopt", str(toy_classifier_folder), *rows, "--out", str(tmp_path / "adopted")],
    ]
    with running(COMMANDS, json.dumps(commands), log=tmp_path / "asked") as process:
        _, error = process.communicate(timeout=500)
        assert process.returncode == 0, error
    count("commands that ask nobody", len(commands))
    assert outside(tmp_path / "asked") == []


@pytest.mark.slow
def test_the_page_asks_nobody_from_its_start_to_its_answers(toy_model_folder, tmp_path, count):
    port = free_port()
    script = "from app.serve import main\nsys.exit(main(sys.argv[1:]))\n"
    with running(script, str(toy_model_folder), "--port", str(port), log=tmp_path / "asked") as process:
        line = process.stdout.readline()
        assert line.startswith(f"Open http://127.0.0.1:{port}"), process.communicate()
        address = line.split()[1]
        for path in ("", "config", "theme.css", "gradio_api/info", "gradio_api/startup-events", "manifest.json"):
            assert httpx.get(f"{address}{path}", timeout=60).status_code == 200
            count("addresses of the page")
        known = Client(address, verbose=False)
        with pytest.raises(Exception, match="no model"):
            known.predict("iron", model="elsewhere", api_name="/explain")
        assert known.predict(api_name="/models")[0] == toy_model_folder.name
    assert (tmp_path / "asked").read_text()  # it asks itself whether it is up
    assert outside(tmp_path / "asked") == []
