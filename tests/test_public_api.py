"""The public names: each is documented, and its example runs and gives what it says."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import reaugkd
from reaugkd.method.teacher import Teacher

NO_CODE = {"__version__", "DEFAULT_ENCODER", "SHOPTALK_TEACHER_OUTPUTS", "plots"}
PUBLIC = {f"{module}.{name}" for name, module in reaugkd._HOME.items()}


def further_examples():
    """By module, the examples of names that are not among the public ones."""
    found = {}
    for module in pkgutil.walk_packages(reaugkd.__path__, "reaugkd."):
        tests = doctest.DocTestFinder().find(importlib.import_module(module.name))
        others = [one for one in tests if one.examples and not any(f"reaugkd.{name}" in one.name for name in PUBLIC)]
        if others:
            found[module.name] = others
    return found


EXAMPLES = further_examples()
NAMES = [name for name in reaugkd.__all__ if name not in NO_CODE]


@pytest.fixture(scope="module")
def shown(toy_task, toy_model_folder, pooled_model, toy_recipe, toy_encoder_folder, toy_classifier_folder):
    """What the examples take for granted."""
    teacher = Teacher.load(toy_model_folder / "teacher")
    outputs = teacher.outputs(toy_task)
    head = pooled_model.projection_head
    teacher_encoded = {}
    for split in ("validation", "test"):
        hidden, soft_labels = outputs.of(split)
        z = head.project(hidden)
        teacher_encoded[split] = reaugkd.EncodedTexts(toy_task.texts(split), z, soft_labels, {"teacher": z})
    return {
        **{name: getattr(reaugkd, name) for name in reaugkd.__all__},
        "task": toy_task,
        "outputs": outputs,
        "head": head,
        "teacher_encoded": teacher_encoded,
        "memory": pooled_model.memory,
        "student": pooled_model.student,
        "model": pooled_model,
        "encoder": str(toy_encoder_folder),
        "classifier": toy_classifier_folder,
        "recipe": toy_recipe.updated(epochs=1, teacher_epochs=1),
        "silent": lambda _: None,
    }


def run_examples(tests, shown, folder):
    """Run examples, and say what came out otherwise than they say."""
    found = []
    for test in tests:
        test.globs = {**shown, **test.globs, "folder": folder}
        doctest.DocTestRunner(optionflags=doctest.IGNORE_EXCEPTION_DETAIL).run(test, out=found.append)
    return "".join(found)


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_documented_with_an_example_that_runs(name, shown, tmp_path, monkeypatch):
    monkeypatch.setenv("REAUGKD_CACHE", str(tmp_path / "cache"))
    public = getattr(reaugkd, name)
    assert inspect.getdoc(public)
    found = doctest.DocTestFinder().find(public, name, module=importlib.import_module(public.__module__))
    examples = [test for test in found if test.examples]
    assert examples, f"{name} has no example"
    assert run_examples(examples, shown, tmp_path) == ""


@pytest.mark.parametrize("module", sorted(EXAMPLES))
def test_the_examples_beside_the_public_names_print_what_they_say(module, shown, tmp_path):
    assert run_examples(EXAMPLES[module], shown, tmp_path) == ""
