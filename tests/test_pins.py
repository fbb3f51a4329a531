import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")

PINS = [Requirement(line) for line in CONSTRAINTS.splitlines() if line.strip() and not line.startswith("#")]
PINNED = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in PINS}
WANTED = [*PROJECT["dependencies"], *(line for lines in PROJECT["optional-dependencies"].values() for line in lines)]
CUDA = r"nvidia|cuda|cupy|triton|faiss-gpu"


def installed(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def test_every_package_is_pinned_to_one_version_and_stands_once():
    for pin in PINS:
        (specifier,) = pin.specifier
        assert specifier.operator == "==", pin
        assert re.fullmatch(r"[0-9][0-9a-z.]*", specifier.version), pin
        assert pin.marker is None, pin
        assert pin.url is None, pin
    assert len(PINNED) == len(PINS)


def test_torch_is_2_13_0_everywhere():
    assert PINNED["torch"] == "2.13.0"
    (wanted,) = [Requirement(line) for line in WANTED if Requirement(line).name == "torch"]
    assert str(wanted.specifier) == "==2.13.0"


def test_no_package_brings_cuda():
    assert [name for name in PINNED if re.match(CUDA, name)] == []


@pytest.mark.parametrize("line", WANTED)
def test_what_pyproject_asks_for_is_pinned_to_a_version_that_satisfies_it(line):
    wanted = Requirement(line)
    assert canonicalize_name(wanted.name) in PINNED
    assert wanted.specifier.contains(PINNED[canonicalize_name(wanted.name)])


def test_what_the_installed_packages_ask_for_is_pinned_too():
    """Follow the requirements that hold here from reaugkd on: each is pinned, or pip would choose a version."""
    seen, unpinned = set(), set()
    waiting = [(canonicalize_name(Requirement(line).name), Requirement(line).extras) for line in WANTED]
    while waiting:
        name, extras = waiting.pop()
        if (name, frozenset(extras)) in seen:
            continue
        seen.add((name, frozenset(extras)))
        if name not in PINNED:
            unpinned.add(name)
            continue
        for line in (requires(name) if installed(name) else None) or []:
            needed = Requirement(line)
            holds = [needed.marker is None or needed.marker.evaluate({"extra": extra}) for extra in (*extras, "")]
            if any(holds):
                waiting.append((canonicalize_name(needed.name), needed.extras))
    # pip and setuptools come with Python's own virtual environments; torch's build for CUDA pins what it brings.
    unpinned = {name for name in unpinned if not re.match(CUDA, name)}
    assert unpinned - {"pip", "setuptools"} == set()


def test_conda_uses_the_same_pins_and_the_same_pythons():
    assert ENVIRONMENT["name"] == "reaugkd"
    (python,) = [line for line in ENVIRONMENT["dependencies"] if str(line).startswith("python")]
    assert python.removeprefix("python").strip() == PROJECT["requires-python"] == ">=3.11,<3.14"
    (pip_lines,) = [line["pip"] for line in ENVIRONMENT["dependencies"] if isinstance(line, dict)]
    assert "-c constraints.txt" in pip_lines
    (editable,) = [line for line in pip_lines if line.startswith("-e")]
    extras = set(re.search(r"\[(.*)\]", editable)[1].split(","))
    assert extras == set(PROJECT["optional-dependencies"])


def test_the_makefile_installs_with_the_same_pins_and_asks_for_extras_that_exist():
    installs = [line for line in MAKEFILE.splitlines() if "pip install" in line]
    assert installs
    assert all("-c constraints.txt" in line for line in installs)
    extras = {extra for found in re.findall(r"EXTRAS := (\S+)", MAKEFILE) for extra in found.split(",")}
    assert extras == set(PROJECT["optional-dependencies"])
    low, high = (tuple(map(int, pair)) for pair in re.findall(r"\((3), (\d+)\)", MAKEFILE))
    assert PROJECT["requires-python"] == f">={low[0]}.{low[1]},<{high[0]}.{high[1]}"


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")
@pytest.mark.parametrize("target", ["app", "test", "test-all", "lab", "docs", "check"])
def test_every_make_target_installs_first_and_then_runs(target):
    planned = subprocess.run(
        ["make", "--dry-run", "--always-make", target], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    runs = {"app": "app/main.py", "lab": "jupyter lab notebooks", "docs": "sphinx-build", "check": "ruff check ."}
    runs |= dict.fromkeys(("test", "test-all"), "-m pytest")
    assert planned.index("-m venv .venv") < planned.index("install") < planned.index(runs[target])


def test_the_installed_versions_are_the_pinned_ones():
    if not Path(sys.prefix, "pyvenv.cfg").is_file() and "CONDA_PREFIX" not in os.environ:
        pytest.skip("not run in an environment of its own")
    differ = {name: (installed(name), pin) for name, pin in PINNED.items() if installed(name) not in (None, pin)}
    torch = differ.pop("torch", None)
    assert torch is None or torch[0].split("+")[0] == "2.13.0"  # a CPU build calls itself 2.13.0+cpu
    assert differ == {}
