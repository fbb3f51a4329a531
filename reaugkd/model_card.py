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
"""What each method of ``metrics.json`` is, in the order of the table."""


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

A student of {settings.student_layers} layers, cut from `{settings.student}`, with the memory of a teacher fine-tuned
from `{settings.teacher}` (ReAugKD, Zhang et al., ACL 2023). It classifies
{"pairs of texts" if settings.is_pair else "texts"} into {len(settings.label_names)} classes: {labels}.

```python
from reaugkd import ReAugKDClassifier

model = ReAugKDClassifier.from_pretrained("path/of/this/folder")
model.predict([...])
```

The student's encoder alone loads with `transformers.AutoModel.from_pretrained`.

## Measured

{settings.metric.replace("_", " ").capitalize()} in percent; k = {retrieval.k}, τ = {retrieval.temperature} and the gate
(mean λ {retrieval.retrieval_weight}) were chosen on the validation rows, one seed ({settings.training["seed"]}).
{memory_in_words(metrics["memory"])}

| method | test | validation |
|---|---|---|
{table}

Alignment on the test rows: {alignment_in_words(metrics["alignment"])}.
"""


def memory_in_words(memory: dict[str, bool]) -> str:
    """Say whether retrieval pays, as a sentence.

    Parameters
    ----------
    memory : dict of str to bool
        ``second_key`` and ``gate_open``.

    Returns
    -------
    str
        The sentence.
    """
    if not memory["gate_open"]:
        return "On the validation rows the memory told nothing that the student did not know: the gate is closed."
    key = "an untuned encoder" if memory["second_key"] else "the student's own embedding"
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
