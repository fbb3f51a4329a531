"""The table of ablations, and the model card that holds it."""

from typing import TYPE_CHECKING, Any

from reaugkd.retrieval import RetrievalSettings

if TYPE_CHECKING:
    from reaugkd.model_folder import ModelSettings

COLLAPSED = 0.9
METHOD_NAMES = {
    "teacher": "Teacher",
    "teacher_knn": "Teacher, kNN over its memory",
    "student": "Student, fine-tuned without a teacher",
    "kd": "KD: student by soft labels",
    "kd_own_memory": "KD + memory in its own, unaligned space",
    "reaugkd_no_retrieval": "ReAugKD, not retrieving (λ = 0)",
    "retrieval_only": "ReAugKD, retrieval alone (λ = 1)",
    "reaugkd_fixed_weight": "ReAugKD, one λ for all",
    "kd_second_key": "KD + memory by the second key, gated",
    "reaugkd": "ReAugKD, gated",
}
"""What each method of ``metrics.json`` is, in the order of the table; one by a second key is there where that is."""


def ablation_rows(metrics: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the table of ablations as text.

    Parameters
    ----------
    metrics : dict
        The content of ``metrics.json``.

    Returns
    -------
    list of tuple of str
        Method, test score and validation score, both in percent.
    """
    scores = metrics["methods"]
    return [
        (name, f"{100 * scores[method]['test']:.1f}", f"{100 * scores[method]['validation']:.1f}")
        for method, name in METHOD_NAMES.items()
        if method in scores
    ]


def model_card(settings: "ModelSettings", retrieval: RetrievalSettings, metrics: dict[str, Any]) -> str:
    """Write a model card.

    Parameters
    ----------
    settings : ModelSettings
        What the model was made of.
    retrieval : RetrievalSettings
        The chosen k, λ and τ_r.
    metrics : dict
        The content of ``metrics.json``.

    Returns
    -------
    str
        Markdown, with the hub's YAML header.
    """
    table = "\n".join(f"| {name} | {test} | {validation} |" for name, test, validation in ablation_rows(metrics))
    labels = ", ".join(settings.label_names)
    return f"""---
library_name: reaugkd
pipeline_tag: text-classification
tags: [knowledge-distillation, retrieval-augmented]
---
# {settings.task}: a retrieval-augmented student

A student of {settings.student_layers} layers, cut from `{settings.student}`, with the memory of a teacher,
`{settings.teacher}` (ReAugKD, Zhang et al., ACL 2023). It classifies
{"pairs of texts" if settings.is_pair else "texts"} into {len(settings.label_names)} classes: {labels}.

```python
from reaugkd import ReAugKDClassifier

model = ReAugKDClassifier.from_pretrained("path/of/this/folder")
model.predict([...])
```

The student's encoder alone loads with `transformers.AutoModel.from_pretrained`.

## Measured

{settings.metric.replace("_", " ").capitalize()} in percent; {choice_in_words(settings, retrieval, metrics["memory"])}

| method | test | validation |
|---|---|---|
{table}

Alignment on the test rows: {alignment_in_words(metrics["alignment"])}.
"""


def about_memory(retrieval: RetrievalSettings, by_second_key: bool, too_few_rows: int | None = None) -> dict[str, Any]:
    """Return what ``metrics.json`` says of the choice by which a model answers.

    Parameters
    ----------
    retrieval : RetrievalSettings
        The choice.
    by_second_key : bool
        Whether an untuned encoder searches the memory.
    too_few_rows : int, optional
        Number of validation rows where :func:`reaugkd.evaluation.too_few_for_a_gate` says so.

    Returns
    -------
    dict
        ``second_key``, ``gate_open`` and, where λ is set by hand in the place of a gate, ``fixed_weight``, or, where
        no gate could be tried, ``too_few_rows``.
    """
    about: dict[str, Any] = {"second_key": by_second_key, "gate_open": retrieval.gate_is_open}
    if retrieval.gate is None:
        return about | {"fixed_weight": retrieval.retrieval_weight}
    return about if too_few_rows is None or retrieval.gate_is_open else about | {"too_few_rows": too_few_rows}


def choice_in_words(settings: "ModelSettings", retrieval: RetrievalSettings, memory: dict[str, Any]) -> str:
    """Say by what choice a model answers, as the card does.

    Parameters
    ----------
    settings : ModelSettings
        What the model was made of.
    retrieval : RetrievalSettings
        The choice.
    memory : dict
        As :func:`about_memory` returns it.

    Returns
    -------
    str
        Sentences, from the middle of the first on.
    """
    seed = f"one seed ({settings.training.get('seed')})"
    if "fixed_weight" in memory:
        chosen = f"k = {retrieval.k} and τ = {retrieval.temperature}\nwere chosen on the validation rows, {seed}."
    elif "too_few_rows" in memory:
        chosen = f"k = {retrieval.k} and τ = {retrieval.temperature}\nwere not chosen on any rows, {seed}."
    else:
        chosen = f"k = {retrieval.k}, τ = {retrieval.temperature} and the gate\n(mean λ {retrieval.retrieval_weight}) "
        chosen += f"were chosen on the validation rows, {seed}."
    return f"{chosen}\n{memory_in_words(memory)}"


def memory_in_words(memory: dict[str, Any]) -> str:
    """Say how much the memory counts, as a sentence.

    Parameters
    ----------
    memory : dict
        As :func:`about_memory` returns it.

    Returns
    -------
    str
        The sentence.
    """
    key = "an untuned encoder" if memory["second_key"] else "the student's own embedding"
    if "fixed_weight" in memory:
        return f"λ was set by hand to {memory['fixed_weight']} for every text, and the memory is searched by {key}."
    if "too_few_rows" in memory:
        return f"There were too few validation rows ({memory['too_few_rows']}) to try it: the gate is closed."
    if not memory["gate_open"]:
        return "On the validation rows the memory told nothing that the student did not know: the gate is closed."
    return f"The gate is open, and the memory is searched by {key}."


def alignment_in_words(aligned: dict[str, float]) -> str:
    """Return the alignment of the student's space with the teacher's as one phrase.

    Parameters
    ----------
    aligned : dict of str to float
        As :func:`reaugkd.alignment.alignment` returns it.

    Returns
    -------
    str
        The measures, with a word of warning where the teacher's classes have collapsed to points.
    """
    words = (
        f"overlap of the 10 nearest memories with the teacher's {aligned['overlap_at_10']:.2f}, of their classes "
        f"{aligned['class_agreement_at_10']:.2f}, CKA {aligned['cka']:.2f}, cosine {aligned['cosine']:.2f}"
    )
    if aligned["within_class_cosine"] > COLLAPSED:
        words += f" (the classes have collapsed, mean cosine within one {aligned['within_class_cosine']:.2f}: "
        words += "the first figure says little)"
    return words
