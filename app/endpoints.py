"""What programs can ask: typed endpoints for ``gradio_client``, the same as MCP tools where the server offers them.

Gradio takes the descriptions of endpoints and tools from the docstrings here, and reads their ``Args:`` alone.
"""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any

import gradio as gr

from reaugkd.analysis.memory_questions import WRONG
from reaugkd.errors import ReAugKDError, quoted, read_named, require
from reaugkd.texts import check_texts, words_read

from .computed import SPLITS, answered_rows, encoded_rows, import_analysis, judged_rows, memories_of
from .menu import ModelMenu
from .parts.problem import Problem

MOST_ROWS = 1_000
MOST_TEXTS = 256
Rows = list[dict[str, Any]]


def add_endpoints(menu: ModelMenu) -> None:
    """Add the endpoints to the page that is being built.

    Parameters
    ----------
    menu : ModelMenu
        Gives the models.
    """
    asked = Endpoints(menu)
    every: list[Callable[..., Any]] = [asked.models, asked.explain, asked.predict, asked.evaluate, asked.errors]
    every += [asked.compare, asked.search_memory, asked.try_edits]
    for endpoint in every:
        # gradio does not list gr.api among what it exports
        gr.api(_with_plain_errors(endpoint), api_name=endpoint.__name__, concurrency_id="model")  # type: ignore[attr-defined]


def _with_plain_errors(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """Let an endpoint answer a user's mistake with its sentence."""

    @wraps(endpoint)
    def call(*arguments: Any, **named: Any) -> Any:
        import_analysis()
        try:
            given = signature(endpoint).bind_partial(*arguments, **named).arguments
            return endpoint(**read_named(endpoint, given, called="The call"))
        except (ReAugKDError, Problem) as error:  # a program gets text, not HTML
            raise gr.Error(error.sentence if isinstance(error, Problem) else str(error)) from error

    return call


class Endpoints:
    """The endpoints, a method each; its name, types and docstring are what a program sees.

    Parameters
    ----------
    menu : ModelMenu
        Gives the models.
    """

    def __init__(self, menu: ModelMenu) -> None:
        self.menu = menu

    def models(self) -> list[str]:
        """Name the models that can be asked, the server's first one first."""
        return self.menu.names()

    def explain(
        self,
        text: str,
        text_pair: str = "",
        k: int | None = None,
        retrieval_weight: float | None = None,
        temperature: float | None = None,
        model: str = "",
    ) -> dict[str, Any]:
        """Answer a text and say what the answer is made of.

        The label and the runner-up, whether the model is sure (if not, leave the text to a person), the class
        probabilities (answer, student, memory), λ, the parts of the student and of each key, which sum to the log-odds
        of the label against the runner-up, and each key's weight, k, τ and neighbours with similarity, weight, shares
        and the teacher's soft labels.

        Args:
            text: The text to classify.
            text_pair: The second text, where the model takes pairs.
            k: How many memories to retrieve by each key; as chosen in training if left out.
            retrieval_weight: λ from 0 (the student alone) to 1 (the memory alone); as fitted if left out.
            temperature: τ of the neighbours' weights; as chosen in training if left out.
            model: A name that models() gives; the first one if left out.
        """
        asked = self.menu.get(model)
        query: Any = (text, text_pair) if asked.settings.is_pair else text
        return asked.explain(query, k=k, retrieval_weight=retrieval_weight, temperature=temperature).as_dict()

    def predict(self, texts: list[str], text_pairs: list[str] | None = None, model: str = "") -> Rows:
        """Classify several texts: label, probability, and whether the model is sure, of each in their order.

        A text of which the model is not sure does not reach its threshold: leave it to a person. words_read is how many
        words of a text that is too long were read, and null where all were.

        Args:
            texts: Up to 256 texts.
            text_pairs: As many second texts, where the model takes pairs.
            model: A name that models() gives; the first one if left out.
        """
        asked = self.menu.get(model)
        queries: list[Any] = check_texts(texts)
        if len(texts) > MOST_TEXTS:
            raise ReAugKDError(f"{len(texts)} texts are too many at a time; send up to {MOST_TEXTS}.")
        if asked.settings.is_pair:
            seconds = check_texts(text_pairs or [])
            if len(seconds) != len(texts):
                raise ReAugKDError("This model takes pairs; give as many text_pairs as texts.")
            queries = list(zip(queries, seconds, strict=True))
        if not queries:
            return []
        answers, names = asked.answer(asked.encode(queries)), asked.classes_
        found = zip(queries, answers.pooled.probabilities, answers.is_sure, strict=True)
        return [
            {
                "label": str(names[row.argmax()]),
                "probability": round(float(row.max()), 6),
                "is_sure": bool(sure),
                "words_read": words_read(text, answers.encoded.characters_read.get(number)),
            }
            for number, (text, row, sure) in enumerate(found)
        ]

    def evaluate(
        self,
        split: str = "test",
        k: int | None = None,
        retrieval_weight: float | None = None,
        temperature: float | None = None,
        model: str = "",
    ) -> dict[str, Any]:
        """Score a model on the rows that it carries: metric and calibration error by voice, and what retrieval did.

        Args:
            split: test or validation.
            k: How many memories to retrieve by each key; as chosen in training if left out.
            retrieval_weight: λ from 0 to 1; as fitted if left out.
            temperature: τ of the neighbours' weights; as chosen in training if left out.
            model: A name that models() gives; the first one if left out.
        """
        from reaugkd.analysis.error_analysis import summary

        asked = self.menu.get(model)
        pool, metric = asked.pool.overridden(k, retrieval_weight, temperature), asked.settings.metric
        return {"metric": metric, **summary(asked.answer(encoded_rows(asked, _split(split)), pool), metric)}

    def errors(self, split: str = "test", effect: str = "", text: str = "", limit: int = 50, model: str = "") -> Rows:
        """List rows with what teacher, student, memory and answer say of them.

        Args:
            split: test or validation.
            effect: What retrieval did: fixed, broken, changed or none; the wrong answers, whatever it did, if left out.
            text: What a text holds.
            limit: How many rows at most, up to 1000.
            model: A name that models() gives; the first one if left out.
        """
        from reaugkd.analysis.error_analysis import RowFilter
        from reaugkd.method.answers import EFFECTS

        require(effect in ("", *EFFECTS), "effect", quoted(effect), f"one of {', '.join(EFFECTS)}, or left out")
        table = answered_rows(self.menu.get(model), _split(split)).table()
        table = table[table["answer"] != table["label"]] if not effect else table
        return _rows(RowFilter({"effect": effect} if effect else {}, text=text).of(table), limit)

    def compare(self, first: str = "", second: str = "", split: str = "test") -> dict[str, Any]:
        """Compare two models over the same rows: scores, difference with its 95 % interval, McNemar's p, counts.

        Args:
            first: A name that models() gives; the first one if left out.
            second: Another name.
            split: test or validation.
        """
        from reaugkd.analysis.comparison import check_comparable
        from reaugkd.analysis.comparison import compare as compared

        one, other = self.menu.get(first), self.menu.get(second)
        check_comparable(one, other)
        metric = one.settings.metric
        found = compared(answered_rows(one, _split(split)), answered_rows(other, split), metric)
        return {
            "metric": metric,
            "scores": list(found.scores),
            "difference": found.difference._asdict(),
            "mcnemar_p": found.p_value,
            "counts": found.counts,
        }

    def search_memory(self, show: str = WRONG, text: str = "", limit: int = 50, model: str = "") -> Rows:
        """List memories: those that look wrong, do harm, are used most or never, stand twice, or leak test rows.

        Args:
            show: label looks wrong, does harm, most used, never used, edited, near-duplicates, leaks of the test rows,
                or all.
            text: What a text holds.
            limit: How many rows at most, up to 1000.
            model: A name that models() gives; the first one if left out.
        """
        from reaugkd.analysis.error_analysis import RowFilter

        return _rows(RowFilter(text=text).of(memories_of(self.menu.get(model), show)).round(2), limit)

    def try_edits(self, edits: list[dict[str, str]], model: str = "") -> dict[str, Any]:
        """Say what edits of the memory would fix and break among the test rows that judge edits; nothing is saved.

        Args:
            edits: An object each: edit (add, relabel or remove), id, and where needed label, text and text_pair.
            model: A name that models() gives; the first one if left out.
        """
        from reaugkd.analysis.edits import apply_patch, as_patch
        from reaugkd.method.answers import changed_answers, effect_counts

        asked, patch = self.menu.get(model), as_patch(edits)
        before, edited = judged_rows(asked), apply_patch(asked, patch)
        changed = changed_answers(before, edited.answer(before.encoded))
        return {**effect_counts(changed), "rows": _rows(changed, MOST_ROWS)}


def _split(split: str) -> str:
    if split not in SPLITS:
        raise ReAugKDError(f"There are no {quoted(split)} rows; choose test or validation.")
    return split


def _rows(table: Any, limit: int) -> Rows:
    """Return the first rows as plain values; what is missing is None."""
    shown = table.head(max(1, min(limit, MOST_ROWS)))
    found: Rows = shown.astype(object).where(shown.notna(), None).to_dict("records")
    return found
