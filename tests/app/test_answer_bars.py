"""An answer in a sentence, in bars by class, and in parts that add up."""

import html
import re
from dataclasses import replace
from itertools import pairwise
from math import exp, log

import numpy as np
import pytest

from app.parts.answer_bars import bars_of, what_happened
from app.rendering import render
from reaugkd.measures.calibration import Threshold
from reaugkd.method.answers import answer
from reaugkd.model.explanation import explain
from reaugkd.plots.charts import VOICE_COLOURS

TEXT = "iron and pear"


def answer_bars(explanation, teacher=None):
    return render("answer_bars", **bars_of(explanation, teacher))


def linear(model, text, weight):
    pool = replace(model.pool, kind="linear", retrieval_weight=weight)
    return explain(answer(model.encode([text]), model.memory, pool))


def cells(table):
    """What a reader sees: the cells of each row."""
    rows = re.findall(r"<tr.*?</tr>", table)
    return [
        [html.unescape(re.sub("<.*?>", "", cell)) for cell in re.findall(r"<t[hd]>.*?</t[hd]>", row)] for row in rows
    ]


def shown(written):
    """What a reader sees: the cells of each class, those of each part, and the sum."""
    of_parts, of_classes = written.split('class="answer-bars"')
    said = html.unescape(re.search('class="sum">(.*)</span></caption>', written).group(1))
    *parts, whole = cells(of_parts)
    assert whole[0] == "answer"
    assert said.split(": ", 1)[1].startswith(whole[-1])
    return cells(of_classes), parts, said


@pytest.fixture
def explanation(pooled_model):
    """The student speaks for one class, both keys for another."""
    return pooled_model.explain(TEXT)


def test_the_table_holds_the_probabilities_of_student_memory_and_answer_the_likeliest_first(explanation):
    (head, *rows), _, _ = shown(answer_bars(explanation))
    assert head == ["class", "student", "memory", "answer"]
    voices = explanation.student_probabilities, explanation.memory_probabilities, explanation.probabilities
    order = sorted(range(3), key=lambda number: -explanation.probabilities[number])
    assert rows == [[explanation.classes[number], *(f"{voice[number]:.2f}" for voice in voices)] for number in order]
    widths = [float(width) for width in re.findall(r'bar answer"><i style="width:([\d.]+)%', answer_bars(explanation))]
    assert widths == [pytest.approx(100 * explanation.probabilities[number], abs=0.06) for number in order]


def test_the_student_has_a_dash_where_it_does_not_know_the_class(gadget_model):
    found = gadget_model.explain("iron and gadget")
    (_, *rows), _, _ = shown(answer_bars(found))
    own = {name: f"{value:.2f}" for name, value in zip(found.classes, found.student_probabilities, strict=False)}
    assert {name: student for name, student, *_ in rows} == own | {"gadget": "–"}


def test_the_teacher_stands_beside_where_it_is_known(explanation):
    teacher = np.asarray([0.125, 0.25, 0.625])
    bars = re.findall(r'bar teacher"><i style="width:([\d.]+)%', answer_bars(explanation, teacher))
    order = np.argsort(-explanation.probabilities, kind="stable")
    assert [float(bar) for bar in bars] == [12.5 if i == 0 else 25.0 if i == 1 else 62.5 for i in order]
    assert "teacher" not in answer_bars(explanation)


def numbers(text):
    return [float(number) for number in re.findall(r"[+-]\d+\.\d+", text)]


def test_the_parts_are_the_log_odds_of_student_and_keys_and_the_sum_is_true(explanation):
    _, parts, said = shown(answer_bars(explanation))
    best, second = explanation.label, explanation.runner_up
    student = dict(zip(explanation.classes, explanation.student_probabilities, strict=True))
    of_student = 0.7 * log(student[best] / student[second])
    wanted = [("student", "weight 0.70", of_student)]
    for (name, weight), key in zip((("aligned key", 0.4), ("text key", 0.3)), explanation.keys, strict=True):
        of_class = {c: 0.98 * r + 0.02 / 3 for c, r in zip(explanation.classes, key.retrieved, strict=True)}
        wanted.append((name, f"weight {weight:.2f}", weight * log(of_class[best] / of_class[second])))
    assert [tuple(row[:2]) for row in parts] == [row[:2] for row in wanted]
    assert [numbers(row[3])[0] for row in parts] == [pytest.approx(row[2], abs=0.0051) for row in wanted]
    assert of_student < 0
    probability = dict(zip(explanation.classes, explanation.probabilities, strict=True))
    lead, *terms = numbers(said)
    assert lead == pytest.approx(log(probability[best] / probability[second]), abs=0.0051)
    assert terms == [numbers(row[3])[0] for row in parts]
    assert said.startswith(f"{best} against {second}: {lead:+.2f} = student {terms[0]:+.2f}, aligned key ")
    odds = re.search(r"; odds e\^([\d.]+) = ([\d.]+) to 1\.$", said)
    assert float(odds.group(1)) == lead
    assert float(odds.group(2)) == pytest.approx(probability[best] / probability[second], abs=0.051)


def test_each_bar_begins_where_the_one_before_ends_and_that_of_the_answer_reaches_from_0_to_their_sum(explanation):
    bars = re.findall(
        r'diverging"><i style="left:([\d.]+)%;width:([\d.]+)%;background:(#\w+)', answer_bars(explanation)
    )
    parts = {name: part for name, part in explanation.parts.items() if name != "new classes"}
    assert [colour for *_, colour in bars] == [VOICE_COLOURS[name] for name in (*parts, "answer")]
    ends = np.cumsum([0.0, *parts.values()])
    low, high = min(ends), max(ends)
    assert low < 0 < high
    spans = [*pairwise(ends), (0.0, ends[-1])]
    for span, (left, width, _) in zip(spans, bars, strict=True):
        begins, stops = (100 * (end - low) / (high - low) for end in sorted(span))
        assert float(left) == pytest.approx(begins, abs=0.06)
        assert float(left) + float(width) == pytest.approx(stops, abs=0.11)


def test_in_a_linear_pool_the_parts_are_points_of_probability(pooled_model):
    found = linear(pooled_model, TEXT, 0.4)
    _, parts, said = shown(answer_bars(found))
    best, second = (found.classes.index(name) for name in (found.label, found.runner_up))
    wanted = [60 * (found.student_probabilities[best] - found.student_probabilities[second])]
    wanted += [
        100 * weight * (key.retrieved[best] - key.retrieved[second])
        for weight, key in zip((0.4 * 4 / 7, 0.4 * 3 / 7), found.keys, strict=True)
    ]
    lead, *terms = numbers(said)
    assert terms == [pytest.approx(part, abs=0.051) for part in wanted]
    assert [numbers(row[3])[0] for row in parts] == terms
    assert lead == pytest.approx(100 * (found.probabilities[best] - found.probabilities[second]), abs=0.051)
    assert "points of probability = student" in said
    assert "odds" not in said


def test_the_decision_on_new_classes_is_a_part_only_where_it_decides(gadget_model):
    found = gadget_model.explain("iron and gadget")
    assert found.label == "gadget"
    _, parts, said = shown(answer_bars(found))
    ratio = found.probabilities[found.classes.index("gadget")] / sorted(found.probabilities)[-2]
    assert parts[-1][0] == "decision on new classes"
    assert numbers(parts[-1][3]) == [pytest.approx(log(ratio), abs=0.0051)]
    assert parts[2][3] == "decides about new classes"
    assert re.sub(r"[+-]?\d+\.\d+", "", said) == "gadget against metal:  = decision on new classes ; odds e^ =  to 1."
    known = gadget_model.explain("apple plum and grape")
    assert known.label != "gadget" != known.runner_up
    assert "new" not in answer_bars(known)


def test_what_has_no_weight_has_no_say(pooled_model):
    _, alone, said = shown(answer_bars(pooled_model.explain(TEXT, retrieval_weight=0.0)))
    assert [row[1] for row in alone] == ["weight 1.40", "", ""]
    assert [row[3] for row in alone[1:]] == ["has no weight"] * 2
    assert "key" not in said
    _, (student, *keys), said = shown(answer_bars(pooled_model.explain(TEXT, retrieval_weight=1.0)))
    assert student == ["student", "", "", "has no weight"]
    assert [row[1] for row in keys] == ["weight 0.80", "weight 0.60"]
    assert "student" not in said


def test_very_long_odds_are_not_written_out(explanation):
    sure = replace(explanation, student_part=27.0)
    assert "; odds e^" in shown(answer_bars(sure))[2]
    assert shown(answer_bars(sure))[2].endswith("= more than 1,000 to 1.")
    assert exp(sure.lead) > 1_000


def said_by(explanation, student, memory, answered, weight, new=0.0):
    names = explanation.classes
    return replace(
        explanation,
        label=names[int(np.argmax(answered))],
        student_probabilities=np.asarray(student),
        memory_probabilities=np.asarray(memory),
        probabilities=np.asarray(answered),
        pool=replace(explanation.pool, retrieval_weight=weight),
        new=new,
    )


def test_the_sentence_says_what_the_memory_did(explanation):
    first, second, _ = explanation.classes
    changed = said_by(explanation, [0.6, 0.4, 0], [0.1, 0.9, 0], [0.2, 0.8, 0], 0.75)
    assert what_happened(changed) == (
        f"Retrieval changed {first} → {second}: the memory gives {second} 0.90, the student 0.40; the memory's weight "
        "is 0.75."
    )
    agreed = said_by(explanation, [0.6, 0.4, 0], [0.9, 0.1, 0], [0.8, 0.2, 0], None)
    assert what_happened(agreed) == (
        f"Student and memory agree on {first}: the student gives it 0.60, the memory 0.90; the memory's weight is 0.50."
    )
    stands = said_by(explanation, [0.6, 0.4, 0], [0.1, 0.9, 0], [0.55, 0.45, 0], 0.125)
    assert what_happened(stands) == (f"The memory says {second}, but with weight 0.12 the student's {first} stands.")
    alone = said_by(explanation, [0.6, 0.4, 0], [0.1, 0.9, 0], [0.6, 0.4, 0], 0.0)
    assert what_happened(alone) == f"The memory has no weight here: the student alone answers {first}."


def test_a_pool_of_which_no_key_has_a_weight_says_that_the_student_answers_alone(pooled_model):
    keys = {name: replace(key, weight=0.0) for name, key in pooled_model.pool.keys.items()}
    found = explain(answer(pooled_model.encode([TEXT]), pooled_model.memory, replace(pooled_model.pool, keys=keys)))
    assert what_happened(found) == f"The memory has no weight here: the student alone answers {found.student_label}."


@pytest.mark.parametrize("key", ["aligned", "text"])
def test_of_a_class_that_the_student_does_not_know_the_sentence_names_the_key_that_found_it(gadget_model, key):
    encoded = gadget_model.encode(["the shiny gadget hums"])
    said = "The student does not know gadget: the memory alone names it, by the "
    for k, by in ((8, f"2 nearest memories of the {key} key."), (1, f"nearest memory of the {key} key.")):
        pool = replace(gadget_model.pool.overridden(k=k), new_class_key=key)
        assert what_happened(explain(gadget_model.answer(encoded, pool))) == said + by


def test_the_student_says_the_same_at_every_weight_of_the_memory(pooled_model):
    columns = [
        {row[0]: row[1] for row in shown(answer_bars(pooled_model.explain(TEXT, retrieval_weight=weight)))[0][1:]}
        for weight in (None, 0.0, 0.3, 1.0)
    ]
    assert all(column == columns[0] for column in columns)


def test_of_many_classes_the_likeliest_are_drawn(explanation):
    classes = tuple(f"class {number}" for number in range(12))
    even = np.arange(12.0) / 66
    many = replace(
        explanation, classes=classes, label="class 11", runner_up="class 10", student_probabilities=even,
        memory_probabilities=even, probabilities=even,
    )  # fmt: skip
    (_, *rows), _, _ = shown(answer_bars(many))
    assert [row[0] for row in rows] == [f"class {number}" for number in range(11, 3, -1)]
    assert all(float(one[3]) >= float(other[3]) for one, other in pairwise(rows))


def test_names_are_shown_as_text(explanation):
    nasty = replace(explanation, classes=("<b>${x}", *explanation.classes[1:]), label="<b>${x}", runner_up="<i>{y}")
    written = answer_bars(nasty)
    assert not re.search(r"<b>|[{}$]|<i>", written)
    assert "&lt;b&gt;" in written


def test_a_text_below_the_models_threshold_is_said_to_be_left_to_a_person(explanation):
    careful = replace(explanation, threshold=Threshold("probability", 0.999, 0.9))
    probability = max(explanation.probabilities)
    left = f" The model leaves this text to a person: its probability, {probability:.2f}, is below the threshold, 1.00."
    assert what_happened(careful) == what_happened(explanation) + left
    by_key = replace(explanation, threshold=Threshold("text", 1.0, 0.9))
    assert "its nearest memory by the text key, 0." in what_happened(by_key)
    assert "left to a person" not in what_happened(replace(explanation, threshold=Threshold("text", -1.0, 0.9)))
