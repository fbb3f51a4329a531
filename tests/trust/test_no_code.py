"""No code comes from data: not by pickle, not from a file beside the weights, not by the library's own hand."""

import ast
import json
import pickle
import shutil
from pathlib import Path

import pytest

from reaugkd.adoption import adopt
from reaugkd.errors import ReAugKDError
from reaugkd.files import read_sealed, write_sealed
from reaugkd.method.teacher import Teacher
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.model.folder import sum_of
from reaugkd.networks.encoders import SequenceClassifier, TextClassifier
from reaugkd.networks.weights import find_weights
from reaugkd.study.plan import read_study
from reaugkd.tasks.sources import load_task, read_table

ROOT = Path(__file__).parents[2]
SOURCES = [path for folder in ("reaugkd", "app") for path in sorted((ROOT / folder).rglob("*.py"))]
CODE = """
from pathlib import Path
Path({marker!r}).touch()
from transformers import AutoConfig, BertConfig, BertModel, BertForSequenceClassification, BertTokenizerFast
class EvilConfig(BertConfig): model_type = {kind!r}
class EvilModel(BertModel): config_class = EvilConfig
class EvilClassifier(BertForSequenceClassification): config_class = EvilConfig
class EvilTokenizer(BertTokenizerFast): pass
"""


class Evil:
    """Leaves a mark when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def change_json(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def plant(folder, marker, *, kind="bert", keep_weights=True):
    """Put code beside the weights, by all names under which one of the libraries looks for some."""
    for name in ("evil.py", "handler.py", "modeling_evil.py", f"{folder.name}.py", "setup.py", "conftest.py"):
        (folder / name).write_text(CODE.format(marker=str(marker), kind=kind))
    autos = {"AutoConfig": "evil.EvilConfig", "AutoModel": "evil.EvilModel"}
    autos |= {"AutoModelForSequenceClassification": "evil.EvilClassifier"}
    change_json(folder / "config.json", auto_map=autos, model_type=kind, trust_remote_code=True)
    if (folder / "tokenizer_config.json").exists():
        change_json(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.EvilTokenizer"] * 2})
    if not keep_weights:
        for path in folder.glob("*.safetensors"):
            path.unlink()
    for name in ("pytorch_model.bin", "training_args.bin", "tokenizer.pkl", "optimizer.pt", "model.pt"):
        (folder / name).write_bytes(pickle.dumps(Evil(marker)))


def is_code(node):
    """Whether a piece of a source runs what data say."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [node.module] if isinstance(node, ast.ImportFrom) else [name.name for name in node.names]
        return any(str(name).split(".")[0] in ("pickle", "dill", "joblib", "marshal", "shelve") for name in names)
    if isinstance(node, ast.keyword):
        is_true = not (isinstance(node.value, ast.Constant) and node.value.value is False)
        return node.arg in ("trust_remote_code", "allow_pickle", "shell") and is_true
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return any(
            isinstance(key, ast.Constant)
            and key.value == "trust_remote_code"
            and getattr(value, "value", None) is not False
            for key, value in pairs
        )
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        return called in (
            "eval",
            "exec",
            "compile",
            "__import__",
            "os.system",
            "torch.load",
            "pd.read_pickle",
            "yaml.unsafe_load",
        )
    return False


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "f(trust_remote_code=True)",
        "f(allow_pickle=x)",
        "run(c, shell=True)",
        "eval(text)",
        "torch.load(path)",
        "options = {'trust_remote_code': True}",
    ],
)
def test_the_reader_of_sources_finds(line):
    assert any(map(is_code, ast.walk(ast.parse(line))))


def test_no_source_runs_what_data_say(count):
    found = []
    for path in SOURCES:
        found += [f"{path}:{node.lineno}" for node in ast.walk(ast.parse(path.read_text("utf-8"))) if is_code(node)]
        count("sources read for code from data")
    assert found == []


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "ran"


@pytest.mark.parametrize("keep_weights", [True, False])
@pytest.mark.parametrize("kind", ["bert", "evil"])
@pytest.mark.parametrize(
    "door",
    [
        find_weights,
        lambda folder: TextClassifier.from_pretrained(folder, 3),
        lambda folder: Teacher.from_pretrained(folder, 3),
    ],
)
def test_an_encoder_with_code_beside_it_runs_none(
    toy_encoder_folder, tmp_path, marker, door, kind, keep_weights, count
):
    folder = tmp_path / "encoder"
    shutil.copytree(toy_encoder_folder, folder)
    plant(folder, marker, kind=kind, keep_weights=keep_weights)
    try:
        door(folder)
    except ReAugKDError as error:
        assert str(folder) in str(error)  # noqa: PT017 -- an encoder of a known kind may load
    count("folders with code beside the weights")
    assert not marker.exists()


@pytest.mark.parametrize("kind", ["bert", "evil"])
def test_a_classifier_with_code_beside_it_runs_none(toy_classifier_folder, toy_task, tmp_path, marker, kind, count):
    folder = tmp_path / "classifier"
    shutil.copytree(toy_classifier_folder, folder)
    plant(folder, marker, kind=kind, keep_weights=False)
    for door in (SequenceClassifier.from_pretrained, lambda path: adopt(path, toy_task, tmp_path / "out")):
        with pytest.raises(ReAugKDError):
            door(folder)
        count("folders with code beside the weights")
    assert not marker.exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["bert", "evil"])
def test_a_model_with_code_in_its_folder_runs_none_even_if_its_sums_hold(
    toy_model_folder, tmp_path, marker, kind, count
):
    folder = tmp_path / "model"
    shutil.copytree(toy_model_folder, folder)
    plant(folder, marker, kind=kind)
    about, _ = read_sealed(folder / "reaugkd.json")
    write_sealed(about | {"files": {name: sum_of(folder / name) for name in about["files"]}}, folder / "reaugkd.json")
    try:
        ReAugKDClassifier.from_pretrained(folder).predict(["iron"])
    except ReAugKDError as error:
        assert "model" in str(error)  # noqa: PT017
    count("folders with code beside the weights")
    assert not marker.exists()


def test_a_data_set_with_a_script_runs_none(tmp_path, marker, count):
    folder = tmp_path / "rows"
    folder.mkdir()
    for name in ("rows.py", "dataset.py", "train.py"):
        (folder / name).write_text(f"from pathlib import Path\nPath({str(marker)!r}).touch()\n")
    with pytest.raises(ReAugKDError, match="could not be loaded"):
        load_task(str(folder))
    for suffix in (".pkl", ".pickle", ".parquet", ".csv", ".jsonl", ".npy", ".joblib"):
        (tmp_path / f"rows{suffix}").write_bytes(pickle.dumps(Evil(marker)))
        with pytest.raises(ReAugKDError):
            read_table(tmp_path / f"rows{suffix}")
        count("tables that are pickles")
    assert not marker.exists()


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:pathlib.Path.touch", "!!python/object/new:pathlib.Path", "!!python/name:os.system"]
)
def test_a_plan_of_a_study_makes_no_objects(tmp_path, marker, tag, count):
    (tmp_path / "study.yaml").write_text(f'tasks: {tag} ["{marker}"]\n')
    with pytest.raises(ReAugKDError, match="study.yaml"):
        read_study(tmp_path / "study.yaml")
    count("plans with objects")
    assert not marker.exists()


def test_the_marks_that_these_tests_look_for_are_left_where_code_runs(tmp_path):
    pickle.loads(pickle.dumps(Evil(tmp_path / "by pickle")))
    exec(CODE.format(marker=str(tmp_path / "by code"), kind="evil"), {})
    assert {path.name for path in tmp_path.iterdir()} == {"by pickle", "by code"}
