"""The page that teaches: guess an answer before it is revealed, then five tasks over the other pages."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr
from answer import answer_html
from models import ASKING, ModelMenu, encoded_rows, kept
from sentence import sentence_html

from reaugkd.errors import ReAugKDError
from reaugkd.lessons import (
    LESSONS,
    WEIGHT,
    Guess,
    Lesson,
    guessed_classes,
    judged_guesses,
    lesson_settings,
    teaching_order,
)
from reaugkd.links import PageState, app_link
from reaugkd.neighbour_table import escaped_text, neighbour_table
from reaugkd.texts import in_one_line, two_parts

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd import Explanation, ReAugKDClassifier
    from reaugkd.exercises import Exercise, Verdict

    Kept = dict[str, dict[str, dict[str, Any]]]  # progress by model and task, as the browser keeps it

WRITTEN_FOR = "shoptalk"
LONGEST_OPTION = 140  # of a radio's or checkbox's text; the views show the whole
START: dict[str, Any] = {"place": 0, "revealed": False, "right": 0, "guessed": 0}
INTRODUCTION = (
    "The student answers alone (ŷ), its nearest memories vote (r), and the answer blends both: "
    "**p = (1 − λ) ŷ + λ r**. This is the paper's linear blend, by one key of the memory, with which this page begins; "
    "elsewhere the answer is the logarithmic pool of student and keys, **log p = a log ŷ + Σ b log r − log Z**. Guess "
    "what each will say, then reveal it. Texts are test rows, which the student has not seen; many are chosen because "
    "student, memory and gold label do not all agree."
)


@kept(2)
def texts_to_guess(model: "ReAugKDClassifier") -> list[int]:
    """Return the test rows in the order in which they teach, once a model."""
    return teaching_order(model.answer(encoded_rows(model, "test"), lesson_settings(model))).tolist()


@kept(16)
def exercise_of(model: "ReAugKDClassifier", key: str) -> "Exercise":
    """Set a task for a model, once."""
    from reaugkd.exercises import exercise

    return exercise(model, encoded_rows(model, "test"), key)


def asked_html(explanation: "Explanation") -> str:
    """Show a text and its nearest memories, without any label.

    Parameters
    ----------
    explanation : Explanation
        The answer that is to be guessed.

    Returns
    -------
    str
        HTML; texts in it are escaped.
    """
    memories = "".join(
        f"<li>{escaped_text(neighbour.text)} <span>{neighbour.similarity:.2f}</span></li>"
        for neighbour in explanation.neighbours
    )
    return (
        f"<blockquote>{escaped_text(in_one_line(explanation.text))}</blockquote><p>What is found for it in the "
        f"teacher's memory, the nearest first, by cosine:</p><ol>{memories}</ol>"
    )


def guesses_html(guesses: Sequence[Guess], gold: str) -> str:
    """Say which guesses were right.

    Parameters
    ----------
    guesses : sequence of Guess
        As :func:`reaugkd.lessons.judged_guesses` gives them.
    gold : str
        The gold label.

    Returns
    -------
    str
        HTML; names in it are escaped.
    """
    lines = ""
    for guess in guesses:
        kind, more = ("right", "") if guess.is_right else ("wrong", f", you said {escaped_text(guess.given)}")
        lines += f'<li class="{kind}">{escaped_text(guess.about)}: <b>{escaped_text(guess.truth)}</b>{more}</li>'
    return f'<ul class="guesses">{lines}<li>Gold label: <b>{escaped_text(gold)}</b></li></ul>'


def score_html(quiz: dict[str, Any]) -> str:
    """Say how many guesses were right so far."""
    return f"<p>Guessed right: <b>{quiz['right']}</b> of <b>{quiz['guessed']}</b></p>"


def task_html(task: "Exercise", name: str) -> str:
    """Show what is asked, and the link to the view that helps.

    Parameters
    ----------
    task : Exercise
        The task.
    name : str
        The model's, for the link.

    Returns
    -------
    str
        HTML; texts in it are escaped.
    """
    lesson, view = task.lesson, task.link.view.capitalize()
    link = escaped_text(app_link(replace(task.link, model=name), ""))
    text = f"<blockquote>{escaped_text(task.text)}</blockquote>" if task.text else ""
    return (
        f"<h3>{escaped_text(lesson.title)}</h3>{text}<p>{escaped_text(lesson.question)}</p>"
        f'<p class="formula">{escaped_text(lesson.formula)}</p>'
        f'<p><a href="{link}" target="_blank" rel="noopener">Open it on the page {view}</a>, in a new tab</p>'
    )


def verdict_html(verdict: "Verdict") -> str:
    """Say whether an answer is right, and why."""
    kind, said = ("right", "Right.") if verdict.is_right else ("wrong", "Not yet.")
    return f'<p class="{kind}"><b>{said}</b> {escaped_text(verdict.why)}</p>'


def help_html(lesson: Lesson, done: dict[str, Any]) -> str:
    """Show the hints, and the solution, that one has asked for.

    Parameters
    ----------
    lesson : Lesson
        The task's words.
    done : dict
        ``hints``, how many of them are shown, and ``seen``, whether the solution is.

    Returns
    -------
    str
        HTML; texts in it are escaped.
    """
    hints = lesson.hints[: int(done.get("hints", 0))]
    lines = [f"<p><b>Hint {number}.</b> {escaped_text(hint)}</p>" for number, hint in enumerate(hints, start=1)]
    lines += [f"<p><b>Solution.</b> {escaped_text(lesson.solution)}</p>"] if done.get("seen") else []
    return "".join(lines)


def task_choices(done: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    """List the tasks, those that are solved with a tick."""
    marks = ["✓ " if done.get(lesson.key, {}).get("solved") else "" for lesson in LESSONS]
    return [
        (f"{mark}{number}. {lesson.title}", lesson.key)
        for number, (mark, lesson) in enumerate(zip(marks, LESSONS, strict=True), start=1)
    ]


def solved_html(done: dict[str, dict[str, Any]]) -> str:
    """Say how many tasks are solved."""
    solved = sum(bool(done.get(lesson.key, {}).get("solved")) for lesson in LESSONS)
    return f"<p>Solved: <b>{solved}</b> of <b>{len(LESSONS)}</b></p>"


def written_for_html(task: str) -> str:
    """Say for which task the words were written, and for which the answers count."""
    if task == WRITTEN_FOR:
        return "<p>Each right answer is computed from the model that is chosen above.</p>"
    return (
        f"<p>These tasks were written for {WRITTEN_FOR}, but they are asked of the chosen model, whose task is "
        f"<b>{escaped_text(task)}</b>: each right answer is computed from it.</p>"
    )


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_OPTION else text[: LONGEST_OPTION - 1] + "…"


class LearnView:
    """A page that teaches; nothing is computed before it is opened.

    Parameters
    ----------
    menu : ModelMenu
        Gives the model.
    name : Component
        Holds the name of the model that is learnt about.
    kept : BrowserState
        Keeps the progress in the browser: it survives a reload.
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
                self.about = gr.HTML(elem_id="learn-about", apply_default_css=False)
            with gr.Column(scale=5, min_width=320):
                self.weight = gr.Slider(
                    0, 1, WEIGHT, step=0.01, label="λ: weight of the memory", buttons=[], elem_id="learn-weight"
                )
                self.student = gr.Radio([], label="The student alone will say", elem_id="learn-student")
                self.memory = gr.Radio([], label="The memory will say", elem_id="learn-memory")
                self.changes = gr.Radio(
                    ["yes", "no"], label="Will retrieval change the student's answer?", elem_id="learn-changes"
                )
                with gr.Row():
                    self.reveal = gr.Button("Reveal", variant="primary", elem_id="learn-reveal", min_width=120)
                    self.next = gr.Button("Next text", elem_id="learn-next", min_width=120)
                self.missing = gr.HTML(visible=False, elem_id="learn-missing")
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
        self.written_for = gr.HTML(elem_id="learn-written-for")
        with gr.Row():
            with gr.Column(scale=3, min_width=300):
                self.chosen = gr.Radio(
                    task_choices({}), value=LESSONS[0].key, show_label=False, container=False, elem_id="learn-tasks"
                )
                self.solved = gr.HTML(solved_html({}), elem_id="learn-solved")
                self.forget = gr.Button("Forget my progress", size="sm", elem_id="learn-forget")
            with gr.Column(scale=8, min_width=320):
                self.task = gr.HTML(elem_id="learn-task", apply_default_css=False)
                self.number = gr.Number(label="λ", step=0.01, visible=False, elem_id="learn-number")
                self.one = gr.Radio([], label="Choose one", visible=False, elem_id="learn-one")
                self.several = gr.CheckboxGroup([], label="Choose one or more", visible=False, elem_id="learn-several")
                with gr.Row():
                    self.check = gr.Button("Check", variant="primary", elem_id="learn-check", min_width=80)
                    self.hint = gr.Button("Hint", elem_id="learn-hint", min_width=80)
                    self.solution = gr.Button("Solution", elem_id="learn-solution", min_width=80)
                self.verdict = gr.HTML(elem_id="learn-verdict", apply_default_css=False)
                self.help = gr.HTML(elem_id="learn-help", apply_default_css=False)

    def _wire(self) -> None:
        guessing = [self.student, self.memory, self.changes]
        asked = [self.quiz, self.text, self.weight, *guessing, self.reveal, self.missing, self.score, self.revealed]
        told = [self.quiz, self.weight, *guessing, self.reveal, self.missing, self.score, self.revealed]
        told += [self.guessed, self.answer, self.table]
        revealed = self.reveal.click(self._reveal, [self.name, self.quiz, self.weight, *guessing], told, **ASKING)
        revealed.then(
            None,
            js="() => document.querySelector('#learn-guessed').scrollIntoView({block: 'center'})",
            api_visibility="private",
        )
        self.next.click(self._next, [self.name, self.quiz], asked, **ASKING)
        buttons = [self.check, self.hint, self.solution]
        task = [self.task, self.number, self.one, self.several, *buttons, self.verdict, self.help]
        listed = [self.kept, self.chosen, self.solved]
        at = [self.name, self.kept, self.chosen]
        self.chosen.input(self._open, at, task, **ASKING, trigger_mode="always_last")
        answers = [self.number, self.one, self.several]
        self.check.click(self._check, [*at, *answers], [self.verdict, *listed], **ASKING)
        self.hint.click(self._hint, at, [self.help, self.hint, *listed], **ASKING)
        self.solution.click(self._solve, at, [self.help, self.solution, *listed], **ASKING)
        self.forget.click(self._forget, at, [*task, *listed], **ASKING)
        self.fill_inputs: list[Any] = [self.kept]
        self.filled = [self.message, self.whole, self.about, self.written_for, *asked, *task, self.chosen, self.solved]

    def fill(self, name: str, kept: "Kept") -> dict[Any, Any]:
        """Show the first text, and the first task that is not solved.

        Parameters
        ----------
        name : str
            The model's.
        kept : dict
            Progress by model and task.

        Returns
        -------
        dict
            Values by component, of those in ``filled``.
        """
        model, done = self.menu.get(name), self._done(kept, name)
        try:
            asked = self._asked(name, START)
        except ReAugKDError as error:
            return {self.message: gr.HTML(sentence_html(error), visible=True), self.whole: gr.Column(visible=False)}
        key = next((lesson.key for lesson in LESSONS if not done.get(lesson.key, {}).get("solved")), LESSONS[0].key)
        ((key_name, settings),) = lesson_settings(model).keys.items()
        about = f"<p>Memories are found by the {key_name} key, k = {settings.k}, τ = {settings.temperature:g}.</p>"
        return {
            self.message: gr.HTML(visible=False),
            self.whole: gr.Column(visible=True),
            self.about: about,
            self.written_for: written_for_html(model.parts.settings.task),
            self.chosen: gr.Radio(task_choices(done), value=key),
            self.solved: solved_html(done),
            **asked,
            **self._open(name, kept, key),
        }

    def _explained(self, name: str, quiz: dict[str, Any], weight: float) -> "tuple[Explanation, str]":
        """Return the answer to the text at a place in the order, and its gold label; no network runs."""
        from reaugkd.explanation import explain

        model = self.menu.get(name)
        rows = texts_to_guess(model)
        encoded = encoded_rows(model, "test").part([rows[quiz["place"] % len(rows)]])
        return explain(model.answer(encoded, lesson_settings(model, weight))), str(encoded.table["label"].iloc[0])

    def _asked(self, name: str, quiz: dict[str, Any]) -> dict[Any, Any]:
        """Ask for guesses of the text at a place in the order."""
        explanation, gold = self._explained(name, quiz, WEIGHT)
        classes = list(guessed_classes(explanation, gold))
        return {
            self.quiz: quiz,
            self.text: asked_html(explanation),
            self.weight: gr.Slider(interactive=True),
            self.student: gr.Radio(classes, value=None, interactive=True),
            self.memory: gr.Radio(classes, value=None, interactive=True),
            self.changes: gr.Radio(value=None, interactive=True),
            self.reveal: gr.Button(interactive=True),
            self.missing: gr.HTML(visible=False),
            self.score: score_html(quiz),
            self.revealed: gr.Column(visible=False),
        }

    def _next(self, name: str, quiz: dict[str, Any]) -> dict[Any, Any]:
        return self._asked(name, quiz | {"place": quiz["place"] + 1, "revealed": False})

    def _reveal(
        self,
        name: str,
        quiz: dict[str, Any],
        weight: float,
        student: str | None,
        memory: str | None,
        changes: str | None,
    ) -> dict[Any, Any]:
        """Reveal the answer, and count the guesses, once."""
        if not (student and memory and changes) or quiz["revealed"]:
            said = sentence_html(ReAugKDError("A guess is missing; choose one in each of the three rows first."))
            return {self.missing: gr.HTML(said, visible=not quiz["revealed"])}
        explanation, gold = self._explained(name, quiz, weight)
        guesses = judged_guesses(explanation, student, memory, changes)
        right = sum(guess.is_right for guess in guesses)
        quiz = quiz | {
            "revealed": True,
            "right": quiz["right"] + right,
            "guessed": quiz["guessed"] + len(guesses),
        }
        still = [self.weight, self.student, self.memory, self.changes, self.reveal]
        return {
            **{part: gr.update(interactive=False) for part in still},
            self.quiz: quiz,
            self.missing: gr.HTML(visible=False),
            self.score: score_html(quiz),
            self.revealed: gr.Column(visible=True),
            self.guessed: guesses_html(guesses, gold) + self._query_link(name, explanation),
            self.answer: answer_html(explanation),
            self.table: neighbour_table(explanation),
        }

    def _query_link(self, name: str, explanation: "Explanation") -> str:
        link = app_link(PageState(name, "query", *two_parts(explanation.text)), "")
        return (
            f'<p><a href="{escaped_text(link)}" target="_blank" rel="noopener">Open this text on the page Query</a>, '
            "in a new tab: what the logarithmic pool answers</p>"
        )

    def _done(self, kept: "Kept", name: str) -> dict[str, dict[str, Any]]:
        """Return the progress with one model; a browser may hold anything."""
        found = kept.get(name) if isinstance(kept, dict) else None
        found = found if isinstance(found, dict) else {}
        return {key: done for key, done in found.items() if isinstance(done, dict)}

    def _open(self, name: str, kept: "Kept", key: str) -> dict[Any, Any]:
        """Show a task, with the hints and the solution that one has seen."""
        done = self._done(kept, name).get(key, {})
        try:
            task = exercise_of(self.menu.get(name), key)
        except ReAugKDError as error:
            hidden = [self.number, self.one, self.several, self.check, self.hint, self.solution]
            nothing: dict[Any, Any] = {part: gr.update(visible=False) for part in hidden}
            return nothing | {self.task: sentence_html(error), self.verdict: "", self.help: ""}
        kind, options = task.lesson.kind, [(_short(text), value) for text, value in task.options]
        return {
            self.task: task_html(task, name),
            self.number: gr.Number(value=None, visible=kind == "number"),
            self.one: gr.Radio(options, value=None, visible=kind == "one"),
            self.several: gr.CheckboxGroup(options, value=[], visible=kind == "several"),
            self.check: gr.Button(visible=True),
            self.hint: self._hint_button(done),
            self.solution: gr.Button(visible=True, interactive=not done.get("seen")),
            self.verdict: "",
            self.help: help_html(task.lesson, done),
        }

    def _hint_button(self, done: dict[str, Any]) -> gr.Button:
        shown = int(done.get("hints", 0))
        return gr.Button("Hint" if not shown else "Another hint", visible=True, interactive=shown < 2)

    def _noted(self, name: str, kept: "Kept", key: str, **news: Any) -> "tuple[dict[Any, Any], dict[str, Any]]":
        """Return what shows and keeps new progress with a task, and that progress."""
        done = self._done(kept, name)
        of_task = {**done.get(key, {}), **news}
        done = {**done, key: of_task}
        held = {**(kept if isinstance(kept, dict) else {}), name: done}
        shown = {
            self.kept: held,
            self.chosen: gr.Radio(task_choices(done), value=key),
            self.solved: solved_html(done),
        }
        return shown, of_task

    def _check(self, name: str, kept: "Kept", key: str, number: Any, one: Any, several: Any) -> dict[Any, Any]:
        task = exercise_of(self.menu.get(name), key)
        try:
            verdict = task.check({"number": number, "one": one, "several": several}[task.lesson.kind])
        except ReAugKDError as error:
            return {self.verdict: sentence_html(error)}
        shown = self._noted(name, kept, key, solved=True)[0] if verdict.is_right else {}
        return {self.verdict: verdict_html(verdict), **shown}

    def _hint(self, name: str, kept: "Kept", key: str) -> dict[Any, Any]:
        hints = int(self._done(kept, name).get(key, {}).get("hints", 0)) + 1
        shown, done = self._noted(name, kept, key, hints=min(2, hints))
        lesson = exercise_of(self.menu.get(name), key).lesson
        return {**shown, self.help: help_html(lesson, done), self.hint: self._hint_button(done)}

    def _solve(self, name: str, kept: "Kept", key: str) -> dict[Any, Any]:
        shown, done = self._noted(name, kept, key, seen=True)
        lesson = exercise_of(self.menu.get(name), key).lesson
        return {**shown, self.help: help_html(lesson, done), self.solution: gr.Button(interactive=False)}

    def _forget(self, name: str, kept: "Kept", key: str) -> dict[Any, Any]:
        """Forget the progress with this model."""
        held = {other: done for other, done in kept.items() if other != name} if isinstance(kept, dict) else {}
        return {
            self.kept: held,
            self.chosen: gr.Radio(task_choices({}), value=key),
            self.solved: solved_html({}),
            **self._open(name, held, key),
        }
