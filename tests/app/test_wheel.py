"""The wheel holds the page: what is installed from it serves without the project's folder."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from gradio_client import Client
from ports import free_port

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that holds what the wheel installs, and nothing else of the project."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    for name in ("reaugkd", "app"):  # a copy: what an earlier build left beside the code would be in the wheel
        shutil.copytree(ROOT / name, folder / "project" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder / "project")
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(folder / "project")]
    subprocess.run([*pip, *build], check=True, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(folder / "site"), str(wheel)], check=True, cwd=folder)
    return folder / "site"


def test_the_wheel_holds_every_file_of_the_packages(installed):
    for name, folder in (("reaugkd", ROOT / "reaugkd"), ("reaugkd/app", ROOT / "app")):
        files = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
        files = {path for path in files if "__pycache__" not in path.parts}
        assert {path for path in files if not (installed / name / path).is_file()} == set()


def test_reaugkd_app_serves_the_page_and_answers(installed, toy_model_folder, tmp_path):
    port = free_port()
    start = "from reaugkd.cli import main; main()"
    environment = os.environ | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", start, "app", str(toy_model_folder), "--port", str(port)]
    served = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert served.stdout.readline() == f"Open http://127.0.0.1:{port}/ (Ctrl+C ends it)\n"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as page:
            assert "gradio" in page.read().decode()
        client, until = Client(f"http://127.0.0.1:{port}/", verbose=False), time.monotonic() + 60
        while True:
            try:
                (answer,) = client.predict(["iron"], api_name="/predict")
                break
            except Exception:  # the model is still being loaded
                assert time.monotonic() < until
                time.sleep(0.5)
        assert answer["label"]
    finally:
        served.terminate()
        served.wait()
