"""Bugs that are planted in the library, each with the claim of a notebook that then fails: the claims can see."""

import ast
import os
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from docs.run_notebooks import FOLDER, code_cells, run

IMPORTS = """
from dataclasses import replace
import numpy as np
from reaugkd.analysis import comparison, memory_audit
from reaugkd.measures.calibration import at_temperature
from reaugkd.method import losses, memory, pool, projection
from reaugkd.method.teacher import TeacherOutputs
from reaugkd.method.text_key import TextKey
from reaugkd.model import classifier
from reaugkd.networks.encoders import TextClassifier

def spoil(owner, name, change):
    plain = getattr(owner, name)
    setattr(owner, name, lambda *given, **named: change(plain(*given, **named)))
"""
OTHER_QUERY = "spoil(memory.Memory, 'search', lambda found: tuple(np.roll(part, 1, axis=0) for part in found))"
SHORT_Z = "spoil(projection.ProjectionHead, 'project', lambda z: z / 2)"
OTHER_ORDER = "lambda found: tuple(part[::-1].copy() for part in found)"
UNSAVED = "lambda model, folder: plain(replace(model, pool=replace(model.pool, student_temperature=3.0)), folder)"
PLANTED = {
    "01_teacher_and_student": {
        "our loss is the library's": "spoil(losses, 'soft_label_cross_entropy', lambda x: x / 8)",
        "calibration is one temperature below 1": "spoil(TeacherOutputs, 'calibrated', lambda outputs: "
        "replace(outputs, soft_labels=at_temperature(outputs.soft_labels, 4.0)))",
        "the student loses about 20 points": f"spoil(TextClassifier, 'encode', {OTHER_ORDER})",
    },
    "02_a_memory_worth_searching": {
        "the search is exact": OTHER_QUERY,
        "our contrastive loss is the library's": "spoil(projection, 'supervised_contrastive_loss', lambda x: x / 2)",
        "the memory keeps z, of length 1": SHORT_Z,
    },
    "03_relational_distillation": {
        "the gradient is the formula's": "spoil(losses, 'relational_loss', lambda loss: 2 * loss)",
        "for a small τ, q spreads over about a class": SHORT_Z,
        "turned, KD searches as well": OTHER_QUERY,
    },
    "04_keys_and_the_pool": {
        "the blend by hand is the library's": "spoil(pool, 'neighbour_weights', lambda weights: weights[:, ::-1])",
        "the parts add up to the log-odds": "spoil(classifier, 'explain', lambda it: replace(it, student_part=0.0))",
        "the text key repairs errors": "spoil(TextKey, 'embed', lambda queries: np.roll(queries, 1, axis=0))",
    },
    "05_errors_and_repairs": {
        "McNemar's test by hand": "spoil(comparison, 'mcnemar', lambda p_value: p_value / 2)",
        "the doubts differ": "spoil(memory_audit, 'label_doubts', "
        "lambda table: table.assign(doubt=3 * table['doubt']))",
        "the share of new classes by hand": "spoil(pool, 'new_share', lambda share: share / 2)",
    },
    "06_small_and_large": {
        "the formula counts what a search reads": "spoil(memory, 'normalize', lambda rows: rows.astype(float))",
        "the memory adds to the student of 2 layers": OTHER_QUERY,
        "the pool trusts the memory more": "pool.Pool.fitted_weight = "
        "property(lambda it: it.student_weight / it.total_weight)",
    },
    "07_your_own_task": {
        "a model that is loaded again": f"plain = classifier.write_model; classifier.write_model = {UNSAVED}",
        "the student gains by unread texts": "classifier.METRICS['accuracy'] = lambda gold, by: (gold != by).mean()",
        "the teacher labelled the unread texts": f"spoil(TeacherOutputs, 'of', {OTHER_ORDER})",
    },
}


@pytest.mark.slow
@pytest.mark.skipif("REAUGKD_CACHE" not in os.environ, reason="runs the notebooks by the models in $REAUGKD_CACHE")
@pytest.mark.parametrize("name", PLANTED)
def test_the_claims_of_a_notebook_fail_where_the_library_is_wrong(name, tmp_path, monkeypatch):
    trained = Path(os.environ["REAUGKD_CACHE"])
    for folder in [*trained.glob("*--*"), *trained.glob("models/[!.]*")]:  # linked: no spoilt model is kept there
        link = tmp_path / "cache" / folder.relative_to(trained)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(folder)
    monkeypatch.setenv("REAUGKD_CACHE", str(tmp_path / "cache"))
    notebook, bugs = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4), PLANTED[name]
    claims = notebook.cells.pop(notebook.cells.index(code_cells(notebook)[-1]))
    planted = "\n".join([IMPORTS, *bugs.values()])
    notebook.cells.insert(0, new_code_cell(f"exec({planted!r}, {{}})"))
    notebook.cells += [new_code_cell(ast.unparse(line)) for line in ast.parse(claims.source).body]  # each by itself
    run(notebook, tmp_path, allow_errors=True)
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    failed = "\n".join(output.evalue for output in outputs if output.get("ename") == "AssertionError")
    assert [claim for claim in bugs if claim not in failed] == [], failed
