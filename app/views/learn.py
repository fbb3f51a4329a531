"""The page that teaches: guess an answer before it is revealed, then five tasks over the other pages."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from reaugkd.errors import ReAugKDError
from reaugkd.plots.links import PageState, app_link
from reaugkd.texts import in_one_line, two_parts

from ..lessons import (
    LESSONS,
    WEIGHT,
    Guess,
    Lesson,
    guessed_classes,
    judged_guesses,
    lesson_settings,
    teaching_order,
)
from ..models import ASKING, ModelMenu, encoded_rows, kept
from ..parts.answer import answer_html, shortened
from ..parts.neighbour_table import escaped_text, neighbour_table
from ..parts.sentence import sentence_html

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd import Explanation, ReAugKDClassifier

    from ..exercises import Exercise, Verdict

Solved = dict[str, list[str]]  # keys of tasks by model, as the browser keeps them
LONGEST_OPTION = 140  # of a radio's or checkbox's text; the views show the whole
START = {"place": 0, "right": 0, "guessed": 0}
INTRODUCTION = (
    "The student answers alone (ŷ), its nearest memories vote (r), and the answer blends both: "
    f"**p = (1 − λ) ŷ + λ r**, here with λ = {WEIGHT:g}. This is the paper's linear blend, by one key of the memory, "
    "with which this page begins; elsewhere the answer is the logarithmic pool of student and keys, "
    "**log p = a log ŷ + Σ b log r − log Z**. Guess what each will say, then reveal it. Texts are test rows, which the "
    "student has not seen; many are chosen because student, memory and gold label do not all agree."
)


@kept(2)
def texts_to_guess(model: "ReAugKDClassifier") -> list[int]:
    """Return the test rows in the order in which they teach, once a model."""
    return teaching_order(model.answer(encoded_rows(model, "test"), lesson_settings(model))).tolist()


@kept(16)
def exercise_of(model: "ReAugKDClassifier", key: str) -> "Exercise":
    """Set a task for a model, once."""
    from ..exercises import exercise

    return exercise(model, encoded_rows(model, "test"), key)


def asked_html(explanation: "Explanation") -> str:
    """Show a text that is to be guessed, and its nearest memories by the one key, without any label."""
    (key,) = explanation.keys
    memories = "".join(
        f"<li>{escaped_text(neighbour.text)} <span>{neighbour.similarity:.2f}</span></li>"
        for neighbour in key.neighbours
    )
    return (
        f"<blockquote>{escaped_text(in_one_line(explanation.text))}</blockquote><p>What is found for it in the "
        f"teacher's memory by the {key.name} key (k = {key.settings.k}, τ = {key.settings.temperature:g}), the nearest "
        f"first, by cosine:</p><ol>{memories}</ol>"
    )


def guesses_html(guesses: Sequence[Guess], gold: str) -> str:
    """Say which guesses were right, and the gold label."""
    lines = ""
    for guess in guesses:
        kind, more = ("right", "") if guess.is_right else ("wrong", f", you said {escaped_text(guess.given)}")
        lines += f'<li class="{kind}">{escaped_text(guess.about)}: <b>{escaped_text(guess.truth)}</b>{more}</li>'
    return f'<ul class="guesses">{lines}<li>Gold label: <b>{escaped_text(gold)}</b></li></ul>'


def score_html(quiz: dict[str, int]) -> str:
    """Say how many guesses were right so far."""
    return f"<p>Guessed right: <b>{quiz['right']}</b> of <b>{quiz['guessed']}</b></p>"


def link_html(state: PageState, words: str) -> str:
    """Link to a page of the app, in a new tab."""
    return f'<a href="{escaped_text(app_link(state, ""))}" target="_blank" rel="noopener">{words}</a>, in a new tab'


def task_html(task: "Exercise", name: str) -> str:
    """Show what is asked, and the link to the view that helps; ``name`` is the model's."""
    lesson, link = task.lesson, replace(task.link, model=name)
    text = f"<blockquote>{escaped_text(task.text)}</blockquote>" if task.text else ""
    return (
        f"<h3>{escaped_text(lesson.title)}</h3>{text}<p>{escaped_text(lesson.question)}</p>"
        f'<p class="formula">{escaped_text(lesson.formula)}</p>'
        f"<p>{link_html(link, f'Open it on the page {link.view.capitalize()}')}</p>"
    )


def verdict_html(verdict: "Verdict") -> str:
    """Say whether an answer is right, and why."""
    kind, said = ("right", "Right.") if verdict.is_right else ("wrong", "Not yet.")
    return f'<p class="{kind}"><b>{said}</b> {escaped_text(verdict.why)}</p>'


def help_html(lesson: Lesson) -> str:
    """Hold hints and solution ready, each closed until one opens it."""
    parts = {"Hint": lesson.hints[0], "Another hint": lesson.hints[1], "Solution": lesson.solution}
    return "".join(
        f"<details><summary>{title}</summary><p>{escaped_text(words)}</p></details>" for title, words in parts.items()
    )


def task_choices(solved: Collection[str]) -> list[tuple[str, str]]:
    """List the tasks, those that are solved with a tick."""
    return [
        (f"{'✓ ' * (lesson.key in solved)}{number}. {lesson.title}", lesson.key)
        for number, lesson in enumerate(LESSONS, start=1)
    ]


class LearnView:
    """A page that teaches; nothing is computed before it is opened.

    Parameters
    ----------
    menu : ModelMenu
        Gives the model.
    name : Component
        Holds the name of the model that is learnt about.
    kept : BrowserState
        Keeps in the browser which tasks are solved: it survives a reload.
    """

    def __init__(self, menu: ModelMenu, name: gr.Dropdown, kept: gr.BrowserState) -> None:
        self.menu, self.name, self.kept = menu, name, kept
        self.quiz = gr.State(START)
        self.message = gr.HTML(visible=False, elem_id="learn-message")
        with gr.Column() as self.whole:
            self._place_quiz()
            self._place_tasks()
        self._wire()

    def _place_quiz(self) -> None:
        gr.Markdown("## Guess first, then see")
        gr.Markdown(INTRODUCTION)
        with gr.Row():
            with gr.Column(scale=6, min_width=320):
                self.text = gr.HTML(elem_id="learn-text", apply_default_css=False)
            with gr.Column(scale=5, min_width=320):
                self.student = gr.Radio([], label="The student alone will say", elem_id="learn-student")
                self.memory = gr.Radio([], label="The memory will say", elem_id="learn-memory")
                self.changes = gr.Radio(
                    ["yes", "no"], label="Will retrieval change the student's answer?", elem_id="learn-changes"
                )
                with gr.Row():
                    self.reveal = gr.Button("Reveal", variant="primary", elem_id="learn-reveal", min_width=120)
                    self.next = gr.Button("Next text", elem_id="learn-next", min_width=120)
                self.score = gr.HTML(score_html(START), elem_id="learn-score")
        with gr.Column(visible=False) as self.revealed:
            with gr.Row():
                with gr.Column(scale=4, min_width=320):
                    self.guessed = gr.HTML(elem_id="learn-guessed", apply_default_css=False)
                with gr.Column(scale=7, min_width=320):
                    self.answer = gr.HTML(elem_id="learn-answer", apply_default_css=False)
            self.table = gr.HTML(elem_id="learn-neighbours", apply_default_css=False)

    def _place_tasks(self) -> None:
        gr.Markdown("## Five tasks")
        gr.Markdown(
            "They were written for shoptalk, but each right answer is computed from the model that is chosen above."
        )
        with gr.Row():
            with gr.Column(scale=3, min_width=300):
                self.chosen = gr.Radio(
                    task_choices([]), value=LESSONS[0].key, show_label=False, container=False, elem_id="learn-tasks"
                )
            with gr.Column(scale=8, min_width=320):
                self.task = gr.HTML(elem_id="learn-task", apply_default_css=False)
                with gr.Column() as self.answering:
                    self.number = gr.Number(label="λ", step=0.01, visible=False, elem_id="learn-number")
                    self.one = gr.Radio([], label="Choose one", visible=False, elem_id="learn-one")
                    self.several = gr.CheckboxGroup(
                        [], label="Choose one or more", visible=False, elem_id="learn-several"
                    )
                    self.check = gr.Button("Check", variant="primary", elem_id="learn-check")
                    self.verdict = gr.HTML(elem_id="learn-verdict", apply_default_css=False)
                    self.help = gr.HTML(elem_id="learn-help", apply_default_css=False)

    def _wire(self) -> None:
        self.guesses = [self.student, self.memory, self.changes]
        asked = [self.quiz, self.text, *self.guesses, self.reveal, self.score, self.revealed]
        told = [*asked, self.guessed, self.answer, self.table]
        revealed = self.reveal.click(self._reveal, [self.name, self.quiz, *self.guesses], told, **ASKING)
        scroll = "() => document.querySelector('#learn-guessed').scrollIntoView({block: 'center'})"
        revealed.success(None, js=scroll, api_visibility="private")
        self.next.click(self._next, [self.name, self.quiz], asked, **ASKING)
        answers = [self.number, self.one, self.several]
        task = [self.task, self.answering, *answers, self.verdict, self.help]
        self.chosen.input(self._open, [self.name, self.chosen], task, **ASKING, trigger_mode="always_last")
        progress = [self.kept, self.chosen]
        self.check.click(
            self._check, [self.name, self.kept, self.chosen, *answers], [self.verdict, *progress], **ASKING
        )
        self.fill_inputs: list[Any] = [self.kept]
        self.filled = [self.message, self.whole, *asked, *task, *progress]

    def fill(self, name: str, kept: Solved) -> dict[Any, Any]:
        """Show the first text, and the first task that is not solved.

        Parameters
        ----------
        name : str
            The model's.
        kept : dict
            Solved tasks by model.

        Returns
        -------
        dict
            Values by component, of those in ``filled``.
        """
        try:
            asked = self._asked(name, START)
        except ReAugKDError as error:
            return {self.message: gr.HTML(sentence_html(error), visible=True), self.whole: gr.Column(visible=False)}
        solved = kept.get(name, [])
        key = next((lesson.key for lesson in LESSONS if lesson.key not in solved), LESSONS[0].key)
        return {
            self.message: gr.HTML(visible=False),
            self.whole: gr.Column(visible=True),
            self.chosen: gr.Radio(task_choices(solved), value=key),
            **asked,
            **self._open(name, key),
        }

    def _explained(self, name: str, place: int) -> "tuple[Explanation, str]":
        """Return the answer to the text at a place in the order, and its gold label; no network runs."""
        from reaugkd.model.explanation import explain

        model = self.menu.get(name)
        rows = texts_to_guess(model)
        encoded = encoded_rows(model, "test").part([rows[place % len(rows)]])
        return explain(model.answer(encoded, lesson_settings(model))), str(encoded.table["label"].iloc[0])

    def _asked(self, name: str, quiz: dict[str, int]) -> dict[Any, Any]:
        """Ask for guesses of the text at a place in the order."""
        explanation, gold = self._explained(name, quiz["place"])
        classes = list(guessed_classes(explanation, gold))
        return {
            self.quiz: quiz,
            self.text: asked_html(explanation),
            self.student: gr.Radio(classes, value=None, interactive=True),
            self.memory: gr.Radio(classes, value=None, interactive=True),
            self.changes: gr.Radio(value=None, interactive=True),
            self.reveal: gr.Button(interactive=True),
            self.score: score_html(quiz),
            self.revealed: gr.Column(visible=False),
        }

    def _next(self, name: str, quiz: dict[str, int]) -> dict[Any, Any]:
        return self._asked(name, quiz | {"place": quiz["place"] + 1})

    def _reveal(self, name: str, quiz: dict[str, int], student: str, memory: str, changes: str) -> dict[Any, Any]:
        """Reveal the answer, and count the guesses; the button then rests until the next text."""
        if not (student and memory and changes):
            raise gr.Error("A guess is missing; choose one in each of the three rows first.")
        explanation, gold = self._explained(name, quiz["place"])
        guesses = judged_guesses(explanation, student, memory, changes)
        right = sum(guess.is_right for guess in guesses)
        quiz = quiz | {"right": quiz["right"] + right, "guessed": quiz["guessed"] + len(guesses)}
        link = link_html(PageState(name, "query", *two_parts(explanation.text)), "Open this text on the page Query")
        return {
            **{part: gr.update(interactive=False) for part in (*self.guesses, self.reveal)},
            self.quiz: quiz,
            self.score: score_html(quiz),
            self.revealed: gr.Column(visible=True),
            self.guessed: guesses_html(guesses, gold) + f"<p>{link}: what the logarithmic pool answers</p>",
            self.answer: answer_html(explanation),
            self.table: neighbour_table(explanation),
        }

    def _open(self, name: str, key: str) -> dict[Any, Any]:
        """Show a task, or the sentence that says why this model has none of this kind."""
        try:
            task = exercise_of(self.menu.get(name), key)
        except ReAugKDError as error:
            return {self.task: sentence_html(error), self.answering: gr.Column(visible=False)}
        kind, options = task.lesson.kind, [(shortened(text, LONGEST_OPTION), value) for text, value in task.options]
        return {
            self.task: task_html(task, name),
            self.answering: gr.Column(visible=True),
            self.number: gr.Number(value=None, visible=kind == "number"),
            self.one: gr.Radio(options, value=None, visible=kind == "one"),
            self.several: gr.CheckboxGroup(options, value=[], visible=kind == "several"),
            self.verdict: "",
            self.help: help_html(task.lesson),
        }

    def _check(self, name: str, kept: Solved, key: str, number: Any, one: Any, several: Any) -> dict[Any, Any]:
        """Judge the answer to a task; what is solved is kept."""
        task = exercise_of(self.menu.get(name), key)
        try:
            verdict = task.check({"number": number, "one": one, "several": several}[task.lesson.kind])
        except ReAugKDError as error:
            return {self.verdict: sentence_html(error)}
        if not verdict.is_right:
            return {self.verdict: verdict_html(verdict)}
        solved = list({*kept.get(name, []), key})
        return {
            self.verdict: verdict_html(verdict),
            self.kept: kept | {name: solved},
            self.chosen: gr.Radio(task_choices(solved), value=key),
        }
