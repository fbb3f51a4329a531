"""The page that teaches in a real browser: a round of guesses, the tasks, and the code under the views."""

import re

import pytest
from playwright.sync_api import expect
from waiting import expect_result

from app.exercise import LESSONS
from app.exercises import exercise
from app.lessons import lesson_settings, truths
from app.model_job import ModelJob
from app.parts.answer_bars import what_happened
from app.snippets import compare_code, errors_code, memory_code, query_code
from app.views.learn import texts_to_guess
from reaugkd.analysis.edits import Edit
from reaugkd.model.explanation import explain

TASKS = [*LESSONS.values()]
MAPS, SOLVED = "canvas.map-canvas", "#learn-tasks label:has-text('✓')"


@pytest.fixture(scope="module")
def asked(puzzled_model):
    return puzzled_model.encode_rows(puzzled_model.held_out(["test"]))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("learnt")


@pytest.fixture(scope="module")
def served(serve, root, puzzled_model):
    """The address of a page that answers by the puzzled model, whose folder is named toy."""
    job = ModelJob(str(root / "toy"))
    job.model = puzzled_model
    return serve(job)


@pytest.fixture
def page(open_page, served):
    page = open_page(f"{served}?view=learn")
    filled(page)
    return page


def filled(page):
    """Wait until the page is filled."""
    expect(page.locator("#learn-text li").first).to_be_visible()
    expect(page.locator("#learn-task h3")).to_be_visible()
    expect(page.locator("#learn-student label").first).to_be_visible()


def choose(page, group, option):
    page.locator(group).get_by_label(option, exact=True).check()


# Guesses


def guess(page, student, memory, changes):
    for group, option in (("student", student), ("memory", memory), ("changes", changes)):
        choose(page, f"#learn-{group}", option)
    page.locator("#learn-reveal").click()


def test_a_round_of_guesses_hides_the_labels_reveals_the_answer_counts_and_links_it(page, puzzled_model, asked):
    rows, right, guessed = texts_to_guess(puzzled_model), 0, 0
    for place in range(2):
        row = asked.rows.iloc[rows[place]]
        blend = lesson_settings(puzzled_model)
        wanted = explain(puzzled_model.answer(asked.part([rows[place]]), blend))
        expect(page.locator("#learn-text blockquote")).to_have_text(row["text"])
        near = [f"{neighbour.text} {neighbour.similarity:.2f}" for neighbour in wanted.neighbours]
        expect(page.locator("#learn-text li")).to_have_text(near)
        expect(page.locator("#learn-answer")).to_be_hidden()
        page.locator("#learn-reveal").click()
        expect(page.locator(".toast-body")).to_contain_text("A guess is missing")
        page.get_by_test_id("toast-close").click()
        guess(page, "metal", "metal", "yes")
        guesses = list(zip(truths(wanted).items(), ("metal", "metal", "yes"), strict=True))
        right_now = sum(truth == given for (_, truth), given in guesses)
        right, guessed = right + right_now, guessed + 3
        expect(page.locator("#learn-score")).to_have_text(f"Guessed right: {right} of {guessed}")
        expect(page.locator("#learn-answer .answer b")).to_have_text(wanted.label)
        lead = wanted.probabilities.max() - sorted(wanted.probabilities)[-2]
        expect(page.locator("#learn-answer .sum")).to_contain_text(f"{100 * lead:+.1f} points of probability = ")
        expect(page.locator("#learn-answer .answer-bars tbody tr")).to_have_count(3)
        expect(page.locator("#learn-neighbours tbody tr")).to_have_count(8)
        said = [
            f"{about}: {truth}" + ("" if given == truth else f", you said {given}") for (about, truth), given in guesses
        ]
        expect(page.locator("#learn-guessed li")).to_have_text([*said, f"Gold label: {row['label']}"])
        expect(page.locator("#learn-guessed li.right")).to_have_count(right_now)
        expect(page.locator("#learn-guessed")).to_be_in_viewport()
        expect(page.locator("#learn-reveal")).to_be_disabled()
        if place == 0:
            with page.context.expect_page() as opened:
                page.locator("#learn-guessed a").click()
            query = opened.value
            expect(query.locator("#answer .asked")).to_have_text(row["text"])
            expect(query.locator("#answer .happened")).to_have_text(what_happened(puzzled_model.explain(row["text"])))
            query.close()
            expect(page.locator("#learn-guessed a")).to_be_visible()
        page.locator("#learn-next").click()
        expect(page.locator("#learn-answer")).to_be_hidden()
        expect(page.locator("#learn-student input:checked")).to_have_count(0)
    expect(page.locator("#learn-reveal")).to_be_enabled()


# Tasks


def choose_task(page, place):
    """Choose a task once the page is filled: the filling shows the first one."""
    expect(page.locator("#learn-task")).to_contain_text(re.compile(r"\w"))
    page.locator("#learn-tasks label").nth(place).click()


def open_task(page, place):
    choose_task(page, place)
    expect(page.locator("#learn-task h3")).to_have_text(TASKS[place].title)
    kinds = {"number": "#learn-number", "one": "#learn-one", "several": "#learn-several"}
    for kind, box in kinds.items():
        (
            expect(page.locator(box)).to_be_visible
            if kind == TASKS[place].kind
            else expect(page.locator(box)).to_be_hidden
        )()


def wrong_answer(task):
    """An answer of the right kind that is wrong."""
    if task.lesson.kind == "number":
        return task.answer - 0.2 if task.answer > 0.5 else task.answer + 0.2
    options = [value for _, value in task.options]
    given = [[value] for value in options] if task.lesson.kind == "several" else options
    return next(one for one in given if not task.check(one).is_right)


def give(page, task, answer):
    if task.lesson.kind == "number":
        page.locator("#learn-number input").fill(f"{answer:.2f}")
    elif task.lesson.kind == "one":
        choose(page, "#learn-one", dict(map(reversed, task.options))[answer])
    else:
        for text, value in task.options:
            page.locator("#learn-several").get_by_label(text, exact=True).set_checked(value in answer)
    page.locator("#learn-check").click()


def test_a_task_takes_a_wrong_answer_shows_hints_and_solution_takes_the_right_one_and_keeps_it(
    page, puzzled_model, asked
):
    for solved, place in enumerate(range(3, 6), start=1):  # one of each kind
        task = exercise(puzzled_model, asked, TASKS[place].key)
        open_task(page, place)
        expect(page.locator("#learn-task")).to_contain_text(task.lesson.question)
        expect(page.locator("#learn-task .formula")).to_have_text(task.lesson.formula)
        expect(page.locator(SOLVED)).to_have_count(solved - 1)
        page.locator("#learn-check").click()
        expect(page.locator("#learn-verdict")).to_contain_text("There is no answer to check yet")
        wrong = wrong_answer(task)
        give(page, task, wrong)
        expect(page.locator("#learn-verdict .wrong")).to_have_text(f"Not yet. {task.check(wrong).why}")
        helped = page.locator("#learn-help details")
        expect(helped.locator("p:visible")).to_have_count(0)
        for part, words in enumerate((*task.lesson.hints, task.lesson.solution)):
            helped.nth(part).locator("summary").click()
            expect(helped.locator("p:visible")).to_have_count(part + 1)
            expect(helped.nth(part).locator("p")).to_have_text(words)
        give(page, task, task.answer)
        expect(page.locator("#learn-verdict .right")).to_have_text(f"Right. {task.check(task.answer).why}")
        expect(page.locator(SOLVED)).to_have_count(solved)
        expect(page.locator("#learn-tasks label").nth(place)).to_have_text(f"✓ {place + 1}. {TASKS[place].title}")
        open_task(page, (place + 1) % len(TASKS))
        expect(helped.locator("p:visible")).to_have_count(0)
    open_task(page, 0)
    task = exercise(puzzled_model, asked, "soft")
    page.locator("#learn-temperature input[type=number]").fill(f"{task.answer:.1f}")
    expect(page.locator("#learn-soft thead")).to_contain_text(f"T = {task.answer:.1f}")
    page.locator("#learn-check").click()
    expect(page.locator(SOLVED)).to_have_count(4)
    page.reload()
    filled(page)
    expect(page.locator(SOLVED)).to_have_count(4)
    expect(page.locator("#learn-task h3")).to_have_text(TASKS[1].title)


def opened_by(page, place):
    """Return the page that a task's link opens in a new tab."""
    open_task(page, place)
    with page.context.expect_page() as opened:
        page.locator("#learn-task a").click()
    return opened.value


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 3, 4])
def test_the_link_of_a_task_asks_its_text_as_the_model_answers(page, puzzled_model, asked, place):
    task = exercise(puzzled_model, asked, TASKS[place].key)
    query = opened_by(page, place)
    expect(query.locator("#answer .asked")).to_have_text(task.text)
    expect(query.locator("#as-fitted input")).to_be_checked()
    expect(query.locator("#as-chosen input")).to_be_checked()


@pytest.mark.slow
def test_the_link_of_what_the_student_mixes_up_opens_errors_and_its_address_follows(page, puzzled_model, asked):
    errors = opened_by(page, 5)
    expect(errors.locator("#errors-weight input[type=number]")).to_have_value("0")
    expect(errors.locator("#errors-as-fitted input")).not_to_be_checked()
    student = 100 * (asked.student_probabilities.argmax(axis=1) == asked.labels(puzzled_model.classes_.tolist())).mean()
    expect(errors.locator("#errors-summary")).to_contain_text(f"with the memory {student:.1f}")
    errors.locator("#errors-weight input[type=number]").fill("0.75")
    expect(errors).to_have_url(re.compile(r"view=errors.*retrieval_weight=0\.75"))
    errors.reload()
    expect(errors.locator("#errors-weight input[type=number]")).to_have_value("0.75")


# The same in Python


CODE = """view => document.querySelector(`#${view}-code .cm-content`)?.cmTile?.root.view.state.doc.toString().trimEnd()
  ?? ''"""


def expect_code(page, view, code):
    """Open the box with the code of a view, and wait for its code: of a long one the page draws what is in sight."""
    if not page.locator(f"#{view}-code").is_visible():
        page.locator(f"#{view}-code-box button").first.click()
    expect_result(page, CODE, code.rstrip(), view)


def open_tab(page, name):
    page.get_by_role("tab", name=name, exact=True).click()


def test_the_code_of_answers_follows_text_sliders_and_strikes(open_page, served, root, puzzled_model):
    page, folder = open_page(served), str(root / "toy")
    expect(page.locator("#text textarea")).not_to_have_value("")
    text = "it's {iron} and ${rain}"
    page.locator("#text textarea").fill(text)
    expect(page.locator("#answer .asked")).to_have_text(text)
    expect_code(page, "query", query_code(folder, text, {}))
    page.locator("#weight input[type=number]").fill("0.4")
    expect(page.locator("#as-fitted input")).not_to_be_checked()
    page.locator("#k input[type=number]").fill("3")
    expect(page.locator("#neighbours tbody tr")).to_have_count(3)
    temperature = next(iter(puzzled_model.pool.keys.values())).temperature
    moved = {"k": 3, "retrieval_weight": 0.4, "temperature": temperature}
    expect_code(page, "query", query_code(folder, text, {}, **moved))
    first, second = puzzled_model.explain(text, k=3, retrieval_weight=0.4).neighbours[:2]
    page.locator(f"[data-strike='{first.number}']").first.click()
    expect_code(page, "query", query_code(folder, text, {"struck": (first.number,)}, **moved))
    other = next(name for name in puzzled_model.classes_.tolist() if name != second.label)
    page.locator(f"[data-relabel='{second.number}']").first.select_option(other)
    changes = {"struck": (first.number,), "relabelled": {second.number: other}}
    code = query_code(folder, text, changes, **moved)
    expect_code(page, "query", code)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#query-code").get_by_role("button", name="copy").click()
    expect_result(page, "async () => (await navigator.clipboard.readText()).trimEnd()", code.rstrip())


@pytest.mark.slow
def test_the_code_of_errors_follows_sliders_filters_and_splits(open_page, served, root, puzzled_model):
    page, folder = open_page(f"{served}?view=errors"), str(root / "toy")
    expect(page.locator("#errors-chosen b")).to_have_text("36")
    expect_code(page, "errors", errors_code(folder, "test", {}))
    page.locator("#errors-weight input[type=number]").fill("0.6")
    expect_code(page, "errors", errors_code(folder, "test", {}, retrieval_weight=0.6))
    button = page.locator("#confusion [data-pick]").first
    count = button.inner_text()
    button.click()
    expect(page.locator("#errors-chosen b")).to_have_text(count)
    text = 'an "odd" it\'s'
    page.locator("#errors-holds input, #errors-holds textarea").fill(text)
    expect(page.locator("#errors-chosen b")).to_have_text("0")
    first = puzzled_model.classes_.tolist()[0]
    chosen = {"equal": {"label": first, "answer": first}, "text": text}
    expect_code(page, "errors", errors_code(folder, "test", chosen, retrieval_weight=0.6))
    page.locator("#errors-split").get_by_label("validation").check()
    expect_code(page, "errors", errors_code(folder, "validation", chosen, retrieval_weight=0.6))


@pytest.mark.slow
def test_the_code_of_comparison_and_memory_follows_sides_lists_and_pending_edits(
    open_page, served, root, puzzled_model
):
    page, folder = open_page(f"{served}?view=compare&retrieval_weight=0.25"), str(root / "toy")
    expect(page.locator("#compare-second-answer .sum")).to_be_visible()
    box = page.locator("#compare-text textarea")
    expect(box).not_to_have_value("")
    box.fill("iron and rain")
    sides, differing = ((folder, 0.25), (folder, 0.0)), {"equal": {"differs": "True"}}
    expect_code(page, "compare", compare_code(sides, "test", differing, "iron and rain"))
    page.locator("#compare-first-weight input[type=number]").fill("0.8")
    sides = ((folder, 0.8), (folder, 0.0))
    page.locator("#compare-all").click()
    page.locator("#compare-split").get_by_label("validation").check()
    expect_code(page, "compare", compare_code(sides, "validation", {}, "iron and rain"))

    open_tab(page, "Memory")
    version = str(root / "toy-edited")
    expect(page.locator("#version input, #version textarea")).to_have_value("toy-edited")
    expect_code(page, "memory", memory_code(folder, "label looks wrong", {}))
    row = puzzled_model.memory.rows.iloc[7]
    page.locator('#show input[value="most used"]').check()
    page.locator("#memory-holds input, #memory-holds textarea").fill(row["text"])
    expect_code(page, "memory", memory_code(folder, "most used", {"text": row["text"]}))
    page.locator("#memory-rows").get_by_text(row["text"], exact=True).first.click()
    expect(page.locator("#picked-memory")).to_contain_text(row["id"])
    page.locator("#remove").click()
    patch = (Edit("remove", row["id"]),)
    expect_code(page, "memory", memory_code(folder, "most used", {"text": row["text"]}, patch, False, version))
    page.locator("#refit input").check()
    expect_code(page, "memory", memory_code(folder, "most used", {"text": row["text"]}, patch, True, version))
