"""Measure imports and the start of the command line: ``make bench PARTS=start``; see :mod:`bench`."""

import subprocess
import sys

import numpy as np
from timing import in_turn

HELP = "import sys; sys.argv = ['reaugkd', '--help']; import reaugkd.cli; reaugkd.cli.main()"
STARTED = {  # what Python runs, and the seconds that it may take
    "python alone": ("", None),
    "import reaugkd": ("import reaugkd", 0.3),
    "reaugkd --help": (HELP, 0.5),
    "reaugkd.ReAugKDClassifier": ("import reaugkd; reaugkd.ReAugKDClassifier", None),
}


def measure(*, share=1.0, say=print):
    """Return a table of seconds."""
    say("Import and start")

    def start(code):
        return lambda _: subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)

    times = in_turn({name: start(code) for name, (code, _) in STARTED.items()}, range(max(3, round(share * 15))))
    rows = []
    for name, (_, bar) in STARTED.items():
        seconds = float(np.median(times[name]))
        row = {"started": name, "median, s": seconds}
        rows.append(row if bar is None else row | {"bar": bar, "reached": seconds <= bar})
    return {"seconds": rows}
