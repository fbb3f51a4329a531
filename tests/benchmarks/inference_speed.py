"""Measure inference: ``make bench PARTS=inference``; see :mod:`bench`.

Teachers, the student, and the student with each key of a model answer the same texts in turn, one text and 64 at a
time. The model's memory is repeated, with a little noise on its keys, until it has so many rows. Then the steps of an
answer by the free keys are taken one after the other, and each one's share of the whole is told. All networks compute
in float32.
"""

import copy
import time
from dataclasses import replace

import numpy as np
from app_speed import grown
from timing import in_turn, ratio

from reaugkd.errors import ReAugKDError
from reaugkd.method.answers import EncodedTexts, answer
from reaugkd.method.keys import ENCODER
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.networks.encoders import TextClassifier, normalize
from reaugkd.networks.onnx import export_onnx
from reaugkd.networks.weights import LARGE_ENCODER, find_weights
from reaugkd.recipe import DEFAULT_ENCODER
from reaugkd.texts import texts_of

ROUNDS = {1: 200, 64: 30}  # by how many texts are asked at a time
SIX, TWELVE, ALONE, FREE = "teacher, 6 layers", "teacher, 12 layers", "student", "student with the free keys"
BY_ONNX = "student by ONNX Runtime"
MOST_ADDED = 0.03  # by keys and search, to the seconds of 64 texts


def with_keys(model, names):
    """Return the model with some of its keys, each with a weight, since one without would cost nothing."""
    kept = {name: replace(model.pool.keys[name], weight=max(model.pool.keys[name].weight, 0.1)) for name in names}
    pool = replace(model.pool, keys=kept, new_class_key="", retrieval_weight=None)
    memory = model.memory.with_keys({name: model.memory.keys[name] for name in names})
    return replace(model, keys={name: model.keys[name] for name in names}, pool=pool, memory=memory, threshold=None)


def ways_to_answer(model, say):
    """Return by name what answers a batch."""
    classes, free = len(model.memory.classes), [name for name in model.keys if name != ENCODER]
    ways = {}
    for name, encoder in {SIX: DEFAULT_ENCODER, TWELVE: LARGE_ENCODER}.items():
        ways[name] = TextClassifier.from_pretrained(find_weights(encoder), classes).encode  # latency needs no training
    ways[ALONE] = lambda batch: model.predict_proba(batch, retrieval_weight=0.0)
    ways |= {f"student with the {name} key": with_keys(model, [name]).predict_proba for name in model.keys}
    ways[FREE] = with_keys(model, free).predict_proba
    student = copy.copy(model.student)
    try:
        student.onnx = export_onnx(student, model.memory.texts[:1_000])
    except ReAugKDError as error:
        say(str(error))
        return ways
    exported = replace(model, student=student)
    ways[BY_ONNX] = lambda batch: exported.predict_proba(batch, retrieval_weight=0.0)
    ways[f"{BY_ONNX}, with the free keys"] = with_keys(exported, free).predict_proba
    return ways


def steps(model, texts, clock):
    """Return the seconds of each step of an answer."""
    spent, start = {}, clock()

    def done(step):
        nonlocal start
        spent[step] = clock() - start
        start = clock()

    tokens = model.student.tokenize(texts)
    done("tokenisation")
    hidden, probabilities = model.student.encode(texts, tokens)
    done("encoder")
    embeddings, queries = normalize(hidden), {}
    for name, key in model.keys.items():
        queries[name] = key.embed(texts, embeddings, tokens)
        done(f"query of the {name} key")
    for name, query in queries.items():
        model.memory.search(name, query, model.pool.keys[name].k)
        done(f"search by the {name} key")
    encoded = EncodedTexts(texts, embeddings, probabilities, queries)
    start = clock()
    answer(encoded, model.memory, model.pool, every_key=False)
    done("pool")
    spent["pool"] -= sum(seconds for name, seconds in spent.items() if name.startswith("search"))  # answer searches too
    return spent


def measure(folder, *, rows=10_000, share=1.0, clock=time.perf_counter, say=print):
    """Return tables of milliseconds, of ratios with their bars, and of each step's share; ``share`` of the rounds."""
    model = ReAugKDClassifier.from_pretrained(folder)
    model.student.onnx = None
    model = grown(model, rows)
    texts, random = texts_of(model.held_out(["test"]), model.settings.is_pair), np.random.default_rng(0)
    ways, free = ways_to_answer(model, say), with_keys(model, [name for name in model.keys if name != ENCODER])
    spent, ratios, shares = [], [], []
    for size, rounds in ROUNDS.items():
        say(f"Inference, {size} at a time, {rows:,} memories")
        batches = [random.choice(len(texts), size=size) for _ in range(max(4, round(share * rounds)) + 3)]
        batches = [[texts[row] for row in batch] for batch in batches]
        times = {name: every[3:] for name, every in in_turn(ways, batches, clock).items()}  # after three all is warm
        for name, every in times.items():
            middle, late = 1_000 * np.median(every), 1_000 * np.percentile(every, 95)
            spent.append({"texts at once": size, "answers": name, "median, ms": middle, "95th percentile, ms": late})
        bars = [(SIX, FREE, 2.4), (TWELVE, FREE, 8.0)] if size > 1 else []
        bars += [(ALONE, BY_ONNX, 1.5)] if BY_ONNX in times else []
        bars += [(FREE, ALONE, None)]
        ratios += [{"texts at once": size} | ratio(times, *one) for one in bars]
        taken = [steps(free, batch, clock) for batch in batches][3:]
        medians = {name: float(np.median([one[name] for one in taken])) for name in taken[0]}
        whole = sum(medians.values())
        shares += [{"texts at once": size, "step": name, "share, %": 100 * of / whole} for name, of in medians.items()]
        student = medians["tokenisation"] + medians["encoder"]
        added = (whole - student - medians["pool"]) / student
        row = {"texts at once": size, "step": "keys and search, to the student's own", "share, %": 100 * added}
        shares.append(row | ({"bar": 100 * MOST_ADDED, "reached": bool(added <= MOST_ADDED)} if size > 1 else {}))
        row = {"texts at once": size, "step": "with the pool", "share, %": 100 * (whole - student) / student}
        shares.append(row)
    return {"milliseconds": spent, "ratios": ratios, f"steps at {rows:,} memories": shares}
