"""What a study says: means with intervals, paired comparisons, and a plot of each."""

from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError
from reaugkd.scenarios import ROWS_A_NEW_CLASS
from reaugkd.significance import drawn, drawn_differences, interval_over_seeds, percentiles
from reaugkd.study import StudyFolder, scenario_runs
from reaugkd.study_answers import study_answers
from reaugkd.study_figures import ALL_TASKS, comparison_figure, methods_figure, scenario_figure
from reaugkd.study_plan import Study
from reaugkd.study_record import StudyRecord
from reaugkd.texts import Labels

FEWEST_SEEDS = 3
LEGEND = (
    "`off` is the student alone, calibrated. `pool` is the recipe: student, aligned key and text key in a logarithmic "
    "pool; `aligned` and `text` have one key alone, `memory` both keys without the student. `linear` is the paper's "
    "blend by the aligned key. `words` and `gold words` are classifiers of the same n-grams without a memory, in the "
    "pool with the student, by the teacher's soft labels and by the gold labels. `pool+encoderL` has L layers of an "
    "untuned encoder as a further key."
)
ALIGNMENT = ("cosine", "cka", "overlap_at_10", "class_agreement_at_10", "within_class_cosine")


def write_report(study: Study, data: str | Path, work: str | Path, known: StudyRecord | None = None) -> list[Path]:
    """Choose, score and compare what is trained, and write tables and plots.

    Parameters
    ----------
    study : Study
        The plan.
    data : str or Path
        Folder from which the tasks' paths start.
    work : str or Path
        The study's folder.
    known : StudyRecord, optional
        What an earlier report recorded; it counts where the folder holds nothing.

    Returns
    -------
    list of Path
        The record (see :class:`~reaugkd.study_record.StudyRecord`), its scores as CSV, ``summary`` (means over seeds)
        and ``comparisons`` with an SVG for each teacher, ``alignment``, ``scenarios`` with an SVG for each,
        ``tables.md`` of these; no table and no plot of what the plan does not name.

    Raises
    ------
    ReAugKDError
        If no student is trained yet, or no browser draws the plots.
    """
    work = Path(work)
    answers = study_answers(study, data, work, known)
    if answers.empty:
        raise ReAugKDError(f"No student of the study is trained in {str(work)!r}; run it without --report-only.")
    gold = {task.name: task.load(Path(data)).labels("test") for task in study.tasks}
    rows = scenario_rows(study, work, known)
    found = {
        "summary": summarised(answers),
        "comparisons": compared(answers, gold, study.compare),
        "alignment": alignment_table(answers),
        "scenarios": scenario_table(rows),
    }
    tables = {name: table for name, table in found.items() if not table.empty}
    work.mkdir(parents=True, exist_ok=True)
    written = [*StudyRecord(answers, rows).save(work), work / "scores.csv"]
    answers.drop(columns=["predicted", "gold_log_probability"]).to_csv(written[-1], index=False, float_format="%.6g")
    for name, table in tables.items():
        written.append(work / f"{name}.csv")
        table.to_csv(written[-1], index=False, float_format="%.5g")
    written.append(work / "tables.md")
    written[-1].write_text(in_markdown(tables), encoding="utf-8")
    if "scenarios" in tables:
        for kind, group in tables["scenarios"].groupby("kind", sort=False):
            written.append(_saved(scenario_figure(group), work / f"{kind}.svg"))
    for teacher in [teacher.name for teacher in study.teachers]:
        for name, figure in {"summary": methods_figure, "comparisons": comparison_figure}.items():
            if name in tables and teacher in set(tables[name]["teacher"]):
                shown = tables[name][tables[name]["teacher"].isin([teacher, "none"])]
                written.append(_saved(figure(shown), work / f"{name}-{teacher}.svg"))
    return written


def summarised(scores: pd.DataFrame) -> pd.DataFrame:
    """Return mean and 95 % interval over seeds of every way to answer.

    Parameters
    ----------
    scores : DataFrame
        As :func:`reaugkd.study_answers.study_answers` gives them.

    Returns
    -------
    DataFrame
        ``task``, ``teacher``, ``method``, ``answer``, ``metric``, ``seeds``; in percent ``mean``, ``low``, ``high``,
        the last two NaN for fewer than three seeds; ``log_loss`` in nats.
    """
    keys = ["task", "teacher", "method", "answer", "metric"]
    rows = []
    for names, group in scores.groupby(keys, sort=False):
        about = dict(zip(keys, names, strict=True)) | {"seeds": len(group)}
        rows.append(about | _over_seeds(100 * group["test"]) | {"log_loss": group["log_loss"].mean()})
    return pd.DataFrame(rows)


def alignment_table(answers: pd.DataFrame) -> pd.DataFrame:
    """Return how near each student's space comes to its teacher's on the test texts, averaged over seeds.

    Parameters
    ----------
    answers : DataFrame
        As :func:`reaugkd.study_answers.study_answers` gives them.

    Returns
    -------
    DataFrame
        ``task``, ``teacher``, ``method``, ``seeds`` and the measures of :func:`reaugkd.alignment.alignment`; students
        without a teacher, and those of records that do not hold the measures, are left out. Where
        ``within_class_cosine`` is near 1 the overlap says little.
    """
    if not set(ALIGNMENT) <= set(answers.columns):
        return pd.DataFrame()
    measured = answers[answers["answer"] == "off"].dropna(subset=list(ALIGNMENT))
    by_student = measured.groupby(["task", "teacher", "method"], sort=False)
    means = by_student[list(ALIGNMENT)].mean()
    means.insert(0, "seeds", by_student.size())
    return means.reset_index()


def compared(
    answers: pd.DataFrame,
    gold: dict[str, Labels],
    pairs: tuple[tuple[str, str], ...],
) -> pd.DataFrame:
    """Compare ways to answer, seed by seed on the same test rows.

    Parameters
    ----------
    answers : DataFrame
        As :func:`reaugkd.study_answers.study_answers` gives them.
    gold : dict of str to (N,) int64
        Gold labels of each task's test rows.
    pairs : tuple of (str, str)
        ``"method/answer"`` and its baseline.

    Returns
    -------
    DataFrame
        A row for each pair, teacher and task, and one for the average where all tasks are there: ``seeds``; in points
        ``mean``, ``low``, ``high``, a 95 % interval by a bootstrap over seeds and test rows together; ``log_loss`` with
        its interval in nats, below 0 where the first is better.
    """
    rows = []
    teachers = [name for name in answers["teacher"].unique() if name != "none"]
    for ours, theirs in pairs:
        for teacher in teachers:
            found = {}
            for draw, (task, labels) in enumerate(gold.items()):  # the draws of tasks are independent
                sides = [_side(answers, task, teacher, side) for side in (ours, theirs)]
                shared = sorted(set(sides[0]) & set(sides[1]))
                if shared:
                    about = {"ours": ours, "baseline": theirs, "teacher": teacher, "task": task, "seeds": len(shared)}
                    metric = answers.loc[answers["task"] == task, "metric"].iloc[0]
                    found[task] = _compared([[side[seed] for seed in shared] for side in sides], labels, metric, draw)
                    rows.append(about | found[task].as_row())
            if len(found) == len(gold) > 1:
                average = _Compared(
                    *(sum(parts) / len(parts) for parts in zip(*map(astuple, found.values()), strict=True))
                )
                seeds = min(row["seeds"] for row in rows[-len(found) :])
                about = {"ours": ours, "baseline": theirs, "teacher": teacher, "task": ALL_TASKS, "seeds": seeds}
                rows.append(about | average.as_row())
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class _Compared:
    """A difference of two answers, of the metric in points and of the log loss in nats, and those of the draws."""

    mean: float
    drawn: NDArray[np.float64]
    log_loss: float
    log_loss_drawn: NDArray[np.float64]

    def as_row(self) -> dict[str, float]:
        points, nats = percentiles(self.mean, self.drawn), percentiles(self.log_loss, self.log_loss_drawn)
        found = {"mean": points.mean, "low": points.low, "high": points.high}
        return found | {"log_loss": nats.mean, "log_loss_low": nats.low, "log_loss_high": nats.high}


def _compared(sides: list[list[dict[str, Any]]], labels: Labels, metric: str, draw: int) -> _Compared:
    """Compare two lists of answers, seed by seed, over draws of seeds and rows together; ``draw`` seeds the draws."""
    ours, theirs = (np.stack([row["predicted"] for row in side]).astype(np.int64) for side in sides)
    mean, means = drawn_differences(labels, ours, theirs, metric, seed=draw)
    of_gold = [np.stack([row["gold_log_probability"] for row in side]).astype(np.float64) for side in sides]
    lost = of_gold[1] - of_gold[0]
    loss, losses = drawn(lambda seeds, rows: float(lost[np.ix_(seeds, rows)].mean()), *lost.shape, seed=draw)
    return _Compared(100 * mean, 100 * means, loss, losses)


def scenario_rows(study: Study, work: str | Path, known: StudyRecord | None = None) -> pd.DataFrame:
    """Return what every scenario that has been run, or recorded, found.

    Parameters
    ----------
    study : Study
        The plan.
    work : str or Path
        The study's folder.
    known : StudyRecord, optional
        What an earlier report recorded; it counts where the folder holds nothing.

    Returns
    -------
    DataFrame
        A row for each scenario, seed and way.
    """
    folder, known = StudyFolder(Path(work)), known or StudyRecord.load(None)
    found = []
    for scenario, _, _, about in scenario_runs(study):
        ran = folder.scenario_rows(scenario, about)
        rows = pd.DataFrame(ran) if ran else known.rows_of(about)
        found += [rows] if len(rows) else []
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def scenario_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return mean and 95 % interval over seeds of every way in every scenario.

    Parameters
    ----------
    rows : DataFrame
        As :func:`scenario_rows` gives them.

    Returns
    -------
    DataFrame
        ``kind``, ``task``, ``metric``, ``teacher``, ``way``, ``rows_a_class``, ``seeds``; in percent ``mean``, ``low``,
        ``high`` of all test rows and, with new classes, ``old`` and ``new``; and mean ``seconds`` of the change.
    """
    if rows.empty:
        return rows
    table = rows.copy()
    if "rows_a_class" in table.columns and "new_classes" in set(table["kind"]):
        # "All" rows of a class are as many as were drawn; over seeds the mean of that is meant.
        many = (table["kind"] == "new_classes") & (table["rows_a_class"] > max(filter(None, ROWS_A_NEW_CLASS)))
        if many.any():
            table.loc[many, "rows_a_class"] = round(table.loc[many, "rows_a_class"].mean())
    keys = ["kind", "task", "metric", "teacher", "way", "rows_a_class"]
    means = []
    for names, group in table.groupby(keys, sort=False, dropna=False):
        found = _over_seeds(100 * group["all"])
        parts = {name: 100 * group[name].mean() for name in ("old", "new") if name in group}
        about = dict(zip(keys, names, strict=True))
        means.append(about | {"seeds": len(group)} | found | parts | {"seconds": group["seconds"].mean()})
    return pd.DataFrame(means)


def in_markdown(tables: dict[str, pd.DataFrame]) -> str:
    """Return tables as one Markdown page, a heading each; figures with one or two digits, intervals in brackets.

    Parameters
    ----------
    tables : dict of str to DataFrame
        By name; ``mean``, ``low`` and ``high`` become one column where a table has them.

    Returns
    -------
    str
        The page.
    """
    page = ["# Tables of the study", "", LEGEND, ""]
    for name, table in tables.items():
        shown = table.drop(columns=["mean", "low", "high"], errors="ignore")
        if "mean" in table:
            position = list(shown.columns).index("seeds") + 1
            shown.insert(position, "mean [95 % interval]", table.apply(_with_interval, axis=1))
        lines = [
            list(shown.columns),
            ["---"] * shown.shape[1],
            *(map(_cell, row) for row in shown.itertuples(index=False)),
        ]
        page += [f"## {name.capitalize()}", "", *("| " + " | ".join(line) + " |" for line in lines), ""]
    return "\n".join(page)


def _with_interval(row: "pd.Series[Any]") -> str:
    return f"{row['mean']:.2f}" + ("" if np.isnan(row["low"]) else f" [{row['low']:.2f}, {row['high']:.2f}]")


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.0f}" if value.is_integer() else f"{value:.2f}"
    return str(value)


def _side(answers: pd.DataFrame, task: str, teacher: str, side: str) -> dict[int, dict[str, Any]]:
    """Return the rows of one way to answer, by seed."""
    method, _, answer = side.partition("/")
    same = (answers["task"] == task) & (answers["method"] == method) & (answers["answer"] == (answer or "off"))
    found = answers[same & answers["teacher"].isin([teacher, "none"])]
    return {row["seed"]: {str(name): value for name, value in row.items()} for row in found.to_dict("records")}


def _over_seeds(figures: "pd.Series[float]") -> dict[str, Any]:
    """Return the mean of a figure with its interval; two seeds give none: that they agree can be chance."""
    found = interval_over_seeds(figures.to_numpy())
    ends = (found.low, found.high) if len(figures) >= FEWEST_SEEDS else (np.nan, np.nan)
    return {"mean": found.mean, "low": ends[0], "high": ends[1]}


def _saved(figure: go.Figure, path: Path) -> Path:
    try:
        figure.write_image(path)
    except (ImportError, ValueError, RuntimeError) as error:
        raise ReAugKDError(
            "The plots cannot be drawn: Kaleido or a Chrome browser is missing; install reaugkd[study] and Chromium."
        ) from error
    return path
