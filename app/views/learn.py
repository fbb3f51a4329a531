"""The page that teaches: guess an answer before it is revealed, then tasks on distillation and over the other pages."""

from collections.abc import Collection
from dataclasses import replace
from math import ceil
from typing import Any

import gradio as gr

import reaugkd as rk
from reaugkd.errors import ReAugKDError
from reaugkd.plots.links import PageState, app_link
from reaugkd.texts import in_one_line, two_parts

from ..computed import cached, encoded_rows
from ..exercise import LESSONS, Exercise
from ..lessons import WEIGHT, guessed_classes, lesson_settings, teaching_order, truths
from ..listening import ASKING, IN_PAGE, LATEST, Updates, listen
from ..menu import ModelMenu
from ..parts.answer import answer_html, shortened
from ..parts.neighbour_table import neighbour_table
from ..parts.problem import problem_html, told_in
from ..rendering import fill_file, render
from ..scripts import script

Solved = dict[str, list[str]]  # keys of tasks by model, as the browser keeps them
SOFT_CLASSES = 5
LONGEST_OPTION = 140  # of a radio's or checkbox's text; the views show the whole
FIRST = next(iter(LESSONS))
START = {"place": 0, "right": 0, "guessed": 0}


@cached(2)
def texts_to_guess(model: "rk.ReAugKDClassifier") -> list[int]:
    """Return the test rows in the order in which they teach, once a model."""
    return teaching_order(model.answer(encoded_rows(model, "test"), lesson_settings(model))).tolist()


@cached(16)
def exercise_of(model: "rk.ReAugKDClassifier", key: str) -> Exercise:
    """Set a task for a model, once."""
    from ..exercises import exercise

    return exercise(model, encoded_rows(model, "test"), key)


def task_choices(solved: Collection[str]) -> list[tuple[str, str]]:
    """List the tasks, those that are solved with a tick."""
    return [
        (f"{'✓ ' * (lesson.key in solved)}{number}. {lesson.title}", lesson.key)
        for number, lesson in enumerate(LESSONS.values(), start=1)
    ]


def soft_label_html(task: Exercise, temperature: float) -> str:
    """Draw a hard label beside the teacher's soft label, as it is and at a temperature."""
    powers = [soft ** (1 / temperature) for _, _, soft in task.soft_labels]
    whole = sum(powers)
    rows = zip(task.soft_labels, (power / whole for power in powers[:SOFT_CLASSES]), strict=False)
    return render("soft_label", rows=rows, temperature=temperature)


class LearnView:
    """A page that teaches; nothing is computed before it is opened."""

    def __init__(self, menu: ModelMenu, name: gr.Dropdown, solved: gr.BrowserState) -> None:
        self.menu, self.name, self.solved = menu, name, solved
        self.quiz = gr.State(START)
        self.message = gr.HTML(visible=False, elem_id="learn-message")
        with gr.Column() as self.whole:
            self._place_quiz()
            self._place_tasks()
        self._wire()

    def _place_quiz(self) -> None:
        gr.Markdown("## Guess first, then see")
        gr.Markdown(fill_file("introduction.md", weight=WEIGHT))
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
                self.score = gr.HTML(render("score", quiz=START), elem_id="learn-score")
        with gr.Column(visible=False) as self.revealed:
            with gr.Row():
                with gr.Column(scale=4, min_width=320):
                    self.guessed = gr.HTML(elem_id="learn-guessed", apply_default_css=False)
                with gr.Column(scale=7, min_width=320):
                    self.answer = gr.HTML(elem_id="learn-answer", apply_default_css=False)
            self.table = gr.HTML(elem_id="learn-neighbours", apply_default_css=False)

    def _place_tasks(self) -> None:
        gr.Markdown(f"## {len(LESSONS)} tasks: distillation first, then retrieval")
        gr.Markdown("They were written for shoptalk, but each right answer is computed from the model chosen above.")
        with gr.Row():
            with gr.Column(scale=3, min_width=300):
                self.chosen = gr.Radio(task_choices([]), show_label=False, container=False, elem_id="learn-tasks")
            with gr.Column(scale=8, min_width=320):
                self.task = gr.HTML(elem_id="learn-task", apply_default_css=False)
                with gr.Column() as self.answering:
                    self.temperature = gr.Slider(
                        0.2, 6, 1, step=0.1, label="T", visible=False, buttons=[], elem_id="learn-temperature"
                    )
                    self.soft = gr.HTML(visible=False, elem_id="learn-soft", apply_default_css=False)
                    self.number = gr.Number(label="λ", step=0.01, visible=False, elem_id="learn-number")
                    self.one = gr.Radio(label="Choose one", visible=False, elem_id="learn-one")
                    self.several = gr.CheckboxGroup(label="Choose one or more", visible=False, elem_id="learn-several")
                    self.check = gr.Button("Check", variant="primary", elem_id="learn-check")
                    self.verdict = gr.HTML(elem_id="learn-verdict", apply_default_css=False)
                    self.help = gr.HTML(elem_id="learn-help", apply_default_css=False)

    def _wire(self) -> None:
        self.guesses = [self.student, self.memory, self.changes]
        self.more_inputs = {kind: getattr(self, kind) for kind in ("temperature", "number", "one", "several")}
        asked = [self.quiz, self.text, *self.guesses, self.reveal, self.score, self.revealed]
        opened = [self.task, self.answering, *self.more_inputs.values(), self.soft, self.verdict, self.help]
        said = [*asked, self.guessed, self.answer, self.table]
        revealed = listen(self, self.reveal.click, self._reveal, said, **ASKING)
        revealed.success(None, js=script("scroll_to", element="#learn-guessed", block="center"), **IN_PAGE)
        listen(self, self.next.click, self._next, asked, **ASKING)
        listen(self, self.chosen.input, self._open, opened, **LATEST)
        listen(self, self.temperature.input, self._soften, [self.soft], **LATEST)
        listen(self, self.check.click, self._check, [self.verdict, self.solved, self.chosen], **ASKING)
        self.filled = [self.message, self.whole, *asked, *opened, self.solved, self.chosen]

    def fill(self, name: str, solved: Solved) -> Updates:
        """Show the first text, and the first task that is not solved."""
        try:
            asked = self._asked(name, START)
        except ReAugKDError as error:
            return {self.message: gr.HTML(problem_html(error), visible=True), self.whole: gr.Column(visible=False)}
        done = solved.get(name, [])
        key = next((key for key in LESSONS if key not in done), FIRST)
        return {
            self.message: gr.HTML(visible=False),
            self.whole: gr.Column(visible=True),
            self.chosen: gr.Radio(task_choices(done), value=key),
            **asked,
            **self._open(name, key),
        }

    def _explained(self, name: str, place: int) -> "tuple[rk.Explanation, str]":
        """Return the answer to the text at a place in the order, and its gold label; no network runs."""
        from reaugkd.model.explanation import explain

        model = self.menu.get(name)
        rows = texts_to_guess(model)
        encoded = encoded_rows(model, "test").part([rows[place % len(rows)]])
        return explain(model.answer(encoded, lesson_settings(model))), str(encoded.table["label"].iloc[0])

    def _asked(self, name: str, quiz: dict[str, int]) -> Updates:
        """Ask for guesses of the text at a place in the order."""
        explanation, gold = self._explained(name, quiz["place"])
        classes = guessed_classes(explanation, gold)
        return {
            self.quiz: quiz,
            self.text: render("quiz", text=in_one_line(explanation.text), key=explanation.keys[0]),
            **dict.fromkeys((self.student, self.memory), gr.Radio(classes, value=None, interactive=True)),
            self.changes: gr.Radio(value=None, interactive=True),
            self.reveal: gr.Button(interactive=True),
            self.score: render("score", quiz=quiz),
            self.revealed: gr.Column(visible=False),
        }

    def _next(self, name: str, quiz: dict[str, int]) -> Updates:
        return self._asked(name, quiz | {"place": quiz["place"] + 1})

    def _reveal(self, name: str, quiz: dict[str, int], student: str, memory: str, changes: str) -> Updates:
        """Reveal the answer, and count the guesses; the button then rests until the next text."""
        if not (student and memory and changes):
            raise gr.Error("A guess is missing; choose one in each of the three rows first.")
        explanation, gold = self._explained(name, quiz["place"])
        guesses = list(zip(truths(explanation).items(), (student, memory, changes), strict=True))
        right = sum(given == truth for (_, truth), given in guesses)
        quiz = quiz | {"right": quiz["right"] + right, "guessed": quiz["guessed"] + len(guesses)}
        link = app_link(PageState(name, "query", *two_parts(explanation.text)), "")
        return {
            **{part: gr.update(interactive=False) for part in (*self.guesses, self.reveal)},
            self.quiz: quiz,
            self.score: render("score", quiz=quiz),
            self.revealed: gr.Column(visible=True),
            self.guessed: render("guesses", guesses=guesses, gold=gold, link=link),
            self.answer: answer_html(explanation),
            self.table: neighbour_table(explanation),
        }

    def _open(self, name: str, chosen: str) -> Updates:
        """Show a task, or the sentence that says why this model has none of this kind."""
        try:
            task = exercise_of(self.menu.get(name), chosen)
        except ReAugKDError as error:
            return {self.task: problem_html(error), self.answering: gr.Column(visible=False)}
        hottest = ceil(1.5 * task.answer) if isinstance(task.answer, float) else 0
        kind, options = task.lesson.kind, [(shortened(text, LONGEST_OPTION), value) for text, value in task.options]
        return {
            self.task: render("task", task=task, link=app_link(replace(task.link, model=name), "")),
            self.answering: gr.Column(visible=True),
            self.temperature: gr.Slider(value=1, maximum=max(6, hottest), visible=kind == "temperature"),
            self.soft: gr.HTML(soft_label_html(task, 1.0), visible=kind == "temperature"),
            self.number: gr.Number(value=None, visible=kind == "number"),
            self.one: gr.Radio(options, value=None, visible=kind == "one"),
            self.several: gr.CheckboxGroup(options, value=[], visible=kind == "several"),
            self.verdict: "",
            self.help: render("help", lesson=task.lesson),
        }

    def _soften(self, name: str, chosen: str, temperature: float) -> Updates:
        return {self.soft: soft_label_html(exercise_of(self.menu.get(name), chosen), temperature)}

    @told_in("verdict")
    def _check(self, name: str, solved: Solved, chosen: str, **given: Any) -> Updates:
        """Judge the answer to a task; the browser keeps what is solved."""
        task = exercise_of(self.menu.get(name), chosen)
        verdict = task.check(given[task.lesson.kind])
        shown = {self.verdict: render("verdict", verdict=verdict)}
        if not verdict.is_right:
            return shown
        done = list({*solved.get(name, []), chosen})
        return shown | {self.solved: solved | {name: done}, self.chosen: gr.Radio(task_choices(done), value=chosen)}
