"""What a study says: means with intervals, paired comparisons, and a plot of each."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from reaugkd.errors import ReAugKDError
from reaugkd.scenarios import ROWS_A_NEW_CLASS
from reaugkd.significance import interval_over_seeds, mcnemar, paired_bootstrap
from reaugkd.study import StudyFolder, scenario_runs
from reaugkd.study_answers import study_answers
from reaugkd.study_figures import ALL_TASKS, comparison_figure, methods_figure, scenario_figure
from reaugkd.study_plan import Study
from reaugkd.study_record import StudyRecord
from reaugkd.texts import Labels

FEWEST_SEEDS = 3
LEGEND = (
    "An answer is named by its weight and its key. `off` is λ = 0, `only` λ = 1, `fixed` one λ for all texts, "
    "`gate` a λ for each. `own` is the student's embedding among its own of the memories, `aligned` the same "
    "among the teacher's, `untuned` that of an untuned encoder, `second` that with its key head, `half` by half "
    "of its layers. `gate` alone is the recipe's choice."
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
    answers.drop(columns="predicted").to_csv(written[-1], index=False, float_format="%.6g")
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
        the last two NaN for fewer than three seeds.
    """
    keys = ["task", "teacher", "method", "answer", "metric"]
    rows = []
    for names, group in scores.groupby(keys, sort=False):
        about = dict(zip(keys, names, strict=True)) | {"seeds": len(group)}
        rows.append(about | _over_seeds(100 * group["test"]))
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
        ``mean``, ``low``, ``high`` by Student's t over seeds, ``bootstrap_low`` and ``bootstrap_high`` over test rows;
        and the median over seeds of McNemar's ``p``. Of the average only seeds that all tasks have count. ``low`` and
        ``high`` are NaN for fewer than three seeds.
    """
    rows = []
    teachers = [name for name in answers["teacher"].unique() if name != "none"]
    for ours, theirs in pairs:
        for teacher in teachers:
            by_task: dict[str, pd.Series] = {}
            for task, labels in gold.items():
                sides = [_side(answers, task, teacher, side) for side in (ours, theirs)]
                shared = sorted(set(sides[0]) & set(sides[1]))
                if not shared:
                    continue
                difference = pd.Series({seed: 100 * (sides[0][seed][0] - sides[1][seed][0]) for seed in shared})
                by_task[task] = difference
                metric = answers.loc[answers["task"] == task, "metric"].iloc[0]
                predicted, baseline = (np.stack([side[seed][1] for seed in shared]) for side in sides)
                over_rows = paired_bootstrap(labels, predicted, baseline, metric)
                p = [mcnemar(labels, one, other) for one, other in zip(predicted, baseline, strict=True)]
                about = {"ours": ours, "baseline": theirs, "teacher": teacher, "task": task, "seeds": len(shared)}
                ends = {"bootstrap_low": 100 * over_rows.low, "bootstrap_high": 100 * over_rows.high}
                rows.append(about | _over_seeds(difference) | ends | {"mcnemar_p": float(np.median(p))})
            average = pd.DataFrame(by_task).dropna()
            if len(by_task) == len(gold) > 1 and len(average):
                about = {"ours": ours, "baseline": theirs, "teacher": teacher, "task": ALL_TASKS, "seeds": len(average)}
                rows.append(about | _over_seeds(average.mean(axis=1)))
    return pd.DataFrame(rows)


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


def _side(answers: pd.DataFrame, task: str, teacher: str, side: str) -> dict[int, tuple[float, Labels]]:
    """Return score and predictions of one way to answer, by seed."""
    method, _, answer = side.partition("/")
    same = (answers["task"] == task) & (answers["method"] == method) & (answers["answer"] == (answer or "off"))
    found = answers[same & answers["teacher"].isin([teacher, "none"])]
    return {
        row["seed"]: (row["test"], np.asarray(row["predicted"], dtype=np.int64)) for row in found.to_dict("records")
    }


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
