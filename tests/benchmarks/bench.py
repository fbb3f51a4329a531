"""Measure what the project claims about speed: ``make bench``, or ``python tests/benchmarks/bench.py --parts start``.

Each part is measured alone or with others. Ways that are compared are timed in turn in one process. A time is a
median; a ratio is the median over the rounds. It writes ``bench.json`` and ``bench.md``, with facts of the machine.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import faiss
import torch

PACKAGES = ("reaugkd", "torch", "transformers", "tokenizers", "numpy", "faiss-cpu", "onnxruntime", "gradio")
SHORT = 0.15  # share of rounds, rows and epochs
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


def training(asked, share, say):
    """Our distillation beside what people would use instead."""
    from training_speed import TEACHERS, measure

    seeds, clock = 1 if asked.short else asked.seeds, CLOCKS[asked.clock]
    teachers = TEACHERS if asked.teacher is None else [asked.teacher]
    return measure(share=share, seeds=seeds, clock=clock, teachers=teachers, say=say)


def inference(asked, share, say):
    """Teachers, students and keys; the steps of an answer."""
    from inference_speed import measure

    return measure(asked.model, rows=asked.memories, share=share, clock=CLOCKS[asked.clock], say=say)


def memory(asked, share, say):
    """Large memories: build, bytes, search, recall."""
    from memory_scale import measure

    return measure(asked.model, share=share, clock=CLOCKS[asked.clock], say=say)


def app(asked, share, say):
    """The page, its answers, and many people at once."""
    from app_speed import measure

    sentences = []

    def keep(sentence):
        sentences.append({"what was seen": sentence})
        say(sentence)

    measure(asked.model, rows=asked.memories, seconds=60 * share, say=keep)
    return {f"at {asked.memories:,} memories": sentences}


def start(_, share, say):
    """Imports, and the command line."""
    from start_speed import measure

    return measure(share=share, say=say)


PARTS = {part.__name__: part for part in (training, inference, memory, app, start)}


def machine():
    """Return what is known of the machine and of what runs on it."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line] or [":"]
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "processor": models[0].split(":")[1].strip() or platform.processor(),
        "cores": os.cpu_count(),
        "threads of torch": torch.get_num_threads(),
        "bfloat16 in hardware": bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()),
        "load at the start": round(os.getloadavg()[0], 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        **versions,
    }


def shown(value):
    """Return a cell's value as it is read."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (
        f"{value:,.3g}"
        if isinstance(value, float) and abs(value) < 1_000
        else f"{value:,.0f}"
        if isinstance(value, float)
        else str(value)
    )


def markdown(results):
    """Return the report: the machine, and a table for each list of rows."""
    lines = ["# Speed", "", *(f"- {name}: {value}" for name, value in results["machine"].items())]
    for part, tables in results["parts"].items():
        for title, rows in tables.items():
            heads = list(dict.fromkeys(name for row in rows for name in row))
            lines += ["", f"## {part}: {title}", "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
            lines += [f"| {' | '.join(shown(row.get(name, '')) for name in heads)} |" for row in rows]
    return "\n".join(lines) + "\n"


def main():
    """Measure the parts that are asked for, and write after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help="some of these, with commas between")
    parser.add_argument("--model", default="runs/shoptalk", help="a trained model, for inference and app")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--memories", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=3, help="of the trainings")
    parser.add_argument("--teacher", help="one of those of the trainings; both if left out")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="processor: on a busy machine, with --threads 1"
    )
    parser.add_argument("--short", action="store_true", help="a few minutes, to see that it runs")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    faiss.omp_set_num_threads(asked.threads)

    def say(sentence):
        sys.stderr.write(sentence + "\n")

    asked.out.mkdir(parents=True, exist_ok=True)
    results = {"machine": machine() | {"clock": asked.clock}, "parts": {}}
    for part in asked.parts.split(","):
        results["parts"][part] = PARTS[part](asked, SHORT if asked.short else 1.0, say)
        (asked.out / "bench.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        (asked.out / "bench.md").write_text(markdown(results), encoding="utf-8")
    sys.stdout.write(markdown(results))


if __name__ == "__main__":
    main()
