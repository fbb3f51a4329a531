"""The table of ablations, and the model card that holds it."""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reaugkd.method.pool import Pool
    from reaugkd.model.folder import ModelSettings

COLLAPSED = 0.9
# What each method of metrics.json is, in the order of the table.
METHOD_NAMES = {
    "teacher": "Teacher",
    "teacher_knn": "Teacher, kNN over its memory",
    "student": "Student, fine-tuned without a teacher",
    "kd": "KD: student by soft labels",
    "kd_memory": "KD + memory, pooled",
    "reaugkd_no_retrieval": "ReAugKD, not retrieving",
    "reaugkd_linear": "ReAugKD, aligned key alone, linear blend",
    "reaugkd": "ReAugKD, pooled",
}
# The same of a classifier that was adopted.
ADOPTED_NAMES = {
    "classifier": "The classifier, as it was",
    "classifier_calibrated": "The classifier, calibrated",
    "classifier_aligned": "Classifier and aligned key",
    "classifier_text": "Classifier and text key",
    "reaugkd": "The classifier with its memory",
}
MARKUP = re.compile(r"[\\`*\[\]<>#|~$!{}&]|(?<!\w)_|_(?!\w)|(?<=:)//")  # what Markdown would not show as it is


def _names(metrics: dict[str, Any]) -> dict[str, str]:
    """Return what each method is called; an adopted classifier has names of its own."""
    return ADOPTED_NAMES if "classifier" in metrics["methods"] else METHOD_NAMES


def results(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the scores of every method and of each key alone, with 95 % intervals.

    Parameters
    ----------
    metrics : dict
        The content of ``metrics.json``.

    Returns
    -------
    list of dict
        ``name``, for people; ``score`` on the test rows, from 0 to 1; ``test``, the ends of its interval; ``lead``, its
        mean difference to the student that had no teacher, and the ends of that interval; ``log_loss`` in nats.
    """
    names = _names(metrics) | {key: f"{key.capitalize()} key, without a student" for key in metrics["keys"]}
    scores, intervals = metrics["methods"] | metrics["keys"], metrics["intervals"]
    return [
        {"name": name, "score": of["test"], "log_loss": of["test_log_loss"], **intervals[method]}
        for method, name in names.items()
        if (of := scores.get(method))
    ]


def model_card(settings: "ModelSettings", metrics: dict[str, Any]) -> str:
    """Write a model card.

    Parameters
    ----------
    settings : ModelSettings
        What the model was made of.
    metrics : dict
        The content of ``metrics.json``.

    Returns
    -------
    str
        Markdown, with the hub's YAML header.
    """
    table = "\n".join(
        f"| {name} | {100 * of['test']:.1f} | {100 * of['validation']:.1f} | {of['test_log_loss']:.3f} |"
        for method, name in _names(metrics).items()
        if (of := metrics["methods"].get(method))
    )
    labels = ", ".join(map(_as_text, settings.label_names))
    title, made, alone, last = _adopted(settings, metrics) if settings.is_adopted else _trained(settings, metrics)
    return f"""---
library_name: reaugkd
pipeline_tag: text-classification
tags: [{"" if settings.is_adopted else "knowledge-distillation, "}retrieval-augmented]
---
# {_as_text(settings.task)}: {title}

{made} It classifies
{"pairs of texts" if settings.is_pair else "texts"} into {len(settings.label_names)} classes: {labels}.

```python
from reaugkd import ReAugKDClassifier

model = ReAugKDClassifier.from_pretrained("path/of/this/folder")
model.predict([...])
```

The {alone}.from_pretrained`.

## Measured

{settings.metric.replace("_", " ").capitalize()} in percent, log loss in nats (less is better);
{choice_in_words(settings, metrics["memory"])}

| method | test | validation | test log loss |
|---|---|---|---|
{table}

{last}
"""


def _as_text(name: str) -> str:
    """Write a name so that Markdown shows it as it is, in one line."""
    return MARKUP.sub(lambda found: f"\\{found[0]}", " ".join(name.split()))


def _as_code(name: str) -> str:
    """Write a name for between two backticks."""
    return " ".join(name.replace("`", "'").split())


def _trained(settings: "ModelSettings", metrics: dict[str, Any]) -> tuple[str, str, str, str]:
    """Return what only the card of a trained model says: its title, how it was made, what loads alone, the last."""
    made = (
        f"A student of {settings.student_layers} layers, cut from `{_as_code(settings.student)}`, with the memory of a "
        f"teacher,\n`{_as_code(settings.teacher)}` (ReAugKD, Zhang et al., ACL 2023)."
    )
    aligned = f"Alignment on the test rows: {alignment_in_words(metrics['alignment'])}."
    return "a retrieval-augmented student", made, "student's encoder alone loads with `transformers.AutoModel", aligned


def _adopted(settings: "ModelSettings", metrics: dict[str, Any]) -> tuple[str, str, str, str]:
    """Return the same of a classifier that was adopted."""
    kind = settings.training["soft_labels"]
    words = "their gold labels" if kind == "gold" else f"{kind} soft labels"
    made = (
        f"The classifier `{_as_code(settings.student)}`, fine-tuned elsewhere and left as it was, with its own memory: "
        f"its\ntrain texts with {words}. Nothing was trained; there is no teacher."
    )
    alone = "classifier alone loads with\n`transformers.AutoModelForSequenceClassification"
    return "a classifier and its memory", made, alone, gain_in_words(settings, metrics["gain"])


def gain_in_words(settings: "ModelSettings", gain: dict[str, list[float]]) -> str:
    """Say what the memory brings to a classifier that was adopted, and whether that may be chance.

    Parameters
    ----------
    settings : ModelSettings
        What the model was made of.
    gain : dict
        ``test`` and ``test_log_loss``, each the difference to the calibrated classifier and the ends of its interval.

    Returns
    -------
    str
        A sentence.
    """
    metric, (score, *ends), (loss, *edges) = settings.metric.replace("_", " "), gain["test"], gain["test_log_loss"]
    points, low, high = (f"{100 * value:+.1f}" for value in (score, *ends))
    nats, least, most = (f"{value:+.3f}" for value in (loss, *edges))
    return (
        f"On the test rows the memory changes the {metric} of the calibrated classifier by {points} points "
        f"[{low}, {high}], {_verdict(*ends)}, and its log loss by {nats} nats [{least}, {most}], "
        f"{_verdict(-edges[1], -edges[0])} (95 % intervals)."
    )


def _verdict(low: float, high: float) -> str:
    """Say whether a gain between these ends is one."""
    return "which is better" if low > 0 else "which is worse" if high < 0 else "which may be chance"


def about_memory(pool: "Pool", too_few_rows: bool = False) -> dict[str, Any]:
    """Return what ``metrics.json`` says of the choice by which a model answers.

    Parameters
    ----------
    pool : Pool
        The choice.
    too_few_rows : bool
        Whether there were too few validation rows to choose on.

    Returns
    -------
    dict
        ``student_weight`` and ``key_weights``, those that count; ``retrieval_weight``, λ; ``new_class_key``;
        ``too_few_rows``.
    """
    student, keys = pool.weights
    return {
        "student_weight": round(student, 3),
        "key_weights": {name: round(weight, 3) for name, weight in keys.items()},
        "retrieval_weight": round(pool.fitted_weight if pool.retrieval_weight is None else pool.retrieval_weight, 3),
        "new_class_key": pool.new_class_key,
        "too_few_rows": too_few_rows,
    }


def choice_in_words(settings: "ModelSettings", memory: dict[str, Any]) -> str:
    """Say by what choice a model answers, as the card does.

    Parameters
    ----------
    settings : ModelSettings
        What the model was made of.
    memory : dict
        As :func:`about_memory` returns it.

    Returns
    -------
    str
        Sentences, from the middle of the first on.
    """
    rows = settings.training.get("chosen_on", f"the validation rows, one seed ({settings.training.get('seed')})")
    chosen = "no weight could be chosen on" if memory["too_few_rows"] else "all weights were chosen on"
    return f"{chosen} {rows}.\n{memory_in_words(memory)}"


def memory_in_words(memory: dict[str, Any]) -> str:
    """Say how much the memory counts, as a sentence or two.

    Parameters
    ----------
    memory : dict
        As :func:`about_memory` returns it.

    Returns
    -------
    str
        Plain text.
    """
    weights = {name: weight for name, weight in memory["key_weights"].items() if weight > 0}
    share = f"{100 * memory['retrieval_weight']:.0f} % of the weight"
    by_key = " and ".join(f"{weight:.2f} by the {name} key" for name, weight in weights.items())
    if memory["too_few_rows"]:
        return "There were too few validation rows to tell whether the memory pays: the student answers alone."
    if not weights:
        return "On the validation rows the memory did not lower the log loss: it has no weight."
    return f"The memory has {share} in the answer: {by_key}, beside {memory['student_weight']:.2f} for the student."


def alignment_in_words(aligned: dict[str, float]) -> str:
    """Return the alignment of the student's space with the teacher's as one phrase.

    Parameters
    ----------
    aligned : dict of str to float
        As :func:`reaugkd.model.evaluation.alignment` returns it.

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
