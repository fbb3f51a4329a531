"""The report of a study: means with intervals, paired comparisons, and a plot of each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
from numpy.typing import NDArray
from scipy import stats

from reaugkd.errors import ReAugKDError
from reaugkd.files import as_path, check_writable, whole_file
from reaugkd.measures.metrics import drawn, drawn_differences, interval
from reaugkd.plots.charts import PALETTE
from reaugkd.study.answers import study_answers
from reaugkd.study.plan import NO_TEACHER, Study
from reaugkd.study.run import ANSWERS_FILE, NOTHING, StudyRecord, scenario_rows
from reaugkd.study.scenarios import ROWS_A_NEW_CLASS
from reaugkd.texts import Labels

FEWEST_SEEDS = 3
LATENCY_FILE = "latency.csv"
LEGEND = (
    "`off` is the student alone, calibrated. `pool` is the recipe: student, aligned key and text key in a logarithmic "
    "pool; `aligned` and `text` have one key alone, `memory` both keys without the student. `linear` is the paper's "
    "blend by the aligned key. `words` and `gold words` are classifiers of the same n-grams without a memory, in the "
    "pool with the student, by the teacher's soft labels and by the gold labels. `pool+encoderL` has L layers of an "
    "untuned encoder as a further key."
)
ALIGNMENT = ["cosine", "cka", "overlap_at_10", "class_agreement_at_10", "within_class_cosine"]
ALL_TASKS = "all tasks"
INK = "#22252B"
PANELS_A_ROW = 3
WAYS, TEACHER = {"off": "student alone", "pool": "with the free keys"}, "the teacher"
AGAIN = "retrained"  # begins the names of ways that train again; a memory is measured against them


def write_report(study: Study, data: str | Path, work: str | Path, known: StudyRecord = NOTHING) -> list[Path]:
    """Choose, score and compare what is trained, and write tables and plots.

    Parameters
    ----------
    study : Study
        The plan.
    data : str or Path
        Folder from which the tasks' paths start.
    work : str or Path
        The study's folder.
    known : StudyRecord
        What an earlier report recorded; it counts where the folder holds nothing.

    Returns
    -------
    list of Path
        The record (see :class:`~reaugkd.study.run.StudyRecord`), its scores as CSV, ``summary`` (means over seeds),
        ``comparisons`` with an SVG for each teacher, ``alignment``, ``scenarios`` with an SVG for each, ``cost``
        with an SVG for each teacher where the folder holds a measured ``latency.csv``, ``tables.md`` of these; no table
        and no plot of what the plan does not name.

    Raises
    ------
    ReAugKDError
        If no student is trained yet, or no browser draws the plots.
    """
    work = as_path(work)
    check_writable(work / ANSWERS_FILE)
    answers = study_answers(study, data, work, known)
    by_run = [scenario_rows(run, work, known) for run in study.scenario_runs()]
    scenarios = pd.concat([pd.DataFrame(), *by_run], ignore_index=True)
    if answers.empty and scenarios.empty:
        raise ReAugKDError(f"No student of the study is trained in {str(work)!r}; run it without --report-only.")
    made = {"scenarios": scenario_table(scenarios)} | ({} if answers.empty else _tables(study, data, work, answers))
    tables = {name: table for name, table in made.items() if not table.empty}
    written = StudyRecord(answers, scenarios).save(work)
    for name, table in tables.items():
        written.append(work / f"{name}.csv")
        with whole_file(written[-1]) as writing:
            table.to_csv(writing, index=False, float_format="%.6g" if name == "scores" else "%.5g")
    written.append(work / "tables.md")
    with whole_file(written[-1]) as writing:
        writing.write_text(in_markdown({n: t for n, t in tables.items() if n != "scores"}), encoding="utf-8")
    return [*written, *(_saved(figure, work / f"{name}.svg") for name, figure in _figures(tables).items())]


def _tables(study: Study, data: str | Path, work: Path, answers: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return what the answers of students show, by the name of the table."""
    gold = {name: study.load(name, data).labels("test") for name in study.tasks}
    tables = {
        "scores": answers.drop(columns=["predicted", "gold_log_probability"]),
        "summary": summarised(answers),
        "comparisons": compared(answers, gold, study.compare),
        "alignment": alignment_table(answers),
    }
    if (work / LATENCY_FILE).is_file():
        latency = pd.read_csv(work / LATENCY_FILE)
        tables |= {f"cost-{teacher}": cost_table(study, answers, latency, teacher) for teacher in study.teachers}
    return tables


def _figures(tables: Mapping[str, pd.DataFrame]) -> dict[str, go.Figure]:
    """Draw the tables, by the name of the file."""
    figures = {name: cost_figure(table) for name, table in tables.items() if name.startswith("cost-")}
    if "scenarios" in tables:
        figures |= {str(kind): scenario_figure(rows) for kind, rows in tables["scenarios"].groupby("kind", sort=False)}
    if "comparisons" in tables:
        for teacher, rows in tables["comparisons"].groupby("teacher", sort=False):
            figures[f"comparisons-{teacher}"] = comparison_figure(rows)
    return figures


def summarised(scores: pd.DataFrame) -> pd.DataFrame:
    """Return mean and 95 % interval over seeds, in percent, and mean log loss, in nats, of every way to answer."""
    return _over_seeds(scores, ["task", "teacher", "method", "answer", "metric"], "test", ["log_loss"])


def alignment_table(answers: pd.DataFrame) -> pd.DataFrame:
    """Return how near each student's space comes to its teacher's on the test texts, averaged over seeds."""
    keys = ["task", "teacher", "method"]
    measured = answers[answers["answer"] == "off"].reindex(columns=[*keys, *ALIGNMENT]).dropna()
    means = {name: (name, "mean") for name in ALIGNMENT}
    return measured.groupby(keys, sort=False).agg(seeds=("cosine", "size"), **means).reset_index()


def cost_table(study: Study, answers: pd.DataFrame, latency: pd.DataFrame, teacher: str) -> pd.DataFrame:
    """Return mean accuracy over tasks, latency, and ``gain``: points above the student alone that takes as long."""
    taught = answers[answers["teacher"] == teacher]
    by_task = taught.pivot_table("test", ["method", "answer"], "task", sort=False).reindex(columns=list(study.tasks))
    means = (100 * by_task.dropna().mean(axis=1)).rename("score").reset_index()
    means["layers"] = means["method"].map(lambda name: study.methods[name].student_layers)
    of_teacher = 100 * taught.groupby("task")["teacher_test"].mean().mean()
    means.loc[len(means)] = {"answer": study.teachers[teacher].encoder, "score": of_teacher}
    table = means.merge(latency, on="answer", suffixes=("", "_measured"))
    table = table[table["layers"].isna() | (table["layers"] == table["layers_measured"])]
    table = table.assign(layers=table["layers_measured"])[["layers", "answer", "batch", "milliseconds", "score"]]
    if not (table["answer"] == "off").any():  # no student alone is trained on every task
        return table.head(0)
    for _, rows in table.groupby("batch"):
        alone = rows[rows["answer"] == "off"].sort_values("milliseconds")
        equal = np.interp(np.log(rows["milliseconds"]), np.log(alone["milliseconds"]), alone["score"])
        table.loc[rows.index, "gain"] = rows["score"] - equal
    return table.sort_values(["batch", "answer", "layers"], ignore_index=True)


def compared(answers: pd.DataFrame, gold: Mapping[str, Labels], pairs: tuple[tuple[str, str], ...]) -> pd.DataFrame:
    """Compare pairs of ``"method/answer"`` over seeds and test rows: mean and 95 % interval, in points and in nats."""
    rows = []
    for ours, baseline in pairs:
        for teacher in [name for name in answers["teacher"].unique() if name != NO_TEACHER]:
            taught = answers[answers["teacher"].isin([teacher, NO_TEACHER])]
            both = _side(taught, ours).merge(_side(taught, baseline), on=["task", "seed"], suffixes=("", "_baseline"))
            about, found = {"ours": ours, "baseline": baseline, "teacher": teacher}, {}
            for draw, (task, labels) in enumerate(gold.items()):  # the draws of tasks are independent
                shared = both[both["task"] == task].sort_values("seed")
                if len(shared):
                    found[task] = _differences(shared, labels, draw)
                    rows.append(about | {"task": task, "seeds": len(shared)} | _in_row(found[task]))
            if len(found) == len(gold) > 1:
                seeds = min(row["seeds"] for row in rows[-len(found) :])
                average = np.mean(list(found.values()), axis=0)
                rows.append(about | {"task": ALL_TASKS, "seeds": seeds} | _in_row(average))
    return pd.DataFrame(rows)


def _side(answers: pd.DataFrame, side: str) -> pd.DataFrame:
    """Return the rows of one way to answer; a method alone means its student alone."""
    method, _, answer = side.partition("/")
    return answers[(answers["method"] == method) & (answers["answer"] == (answer or "off"))]


def _differences(shared: pd.DataFrame, labels: Labels, draw: int) -> NDArray[np.float64]:
    """Return the difference in points and that in nats, (2, 1 + D): as it is, then of draws of seeds and rows."""

    def both_sides(name: str) -> list[NDArray[Any]]:
        return [np.stack(shared[column].to_list()).astype(float) for column in (name, f"{name}_baseline")]

    ours, theirs = (side.astype(np.int64) for side in both_sides("predicted"))
    points = 100 * drawn_differences(labels, ours, theirs, shared["metric"].iloc[0], seed=draw)
    of_ours, of_theirs = both_sides("gold_log_probability")
    lost = of_theirs - of_ours
    nats = drawn(lambda seeds, rows: float(lost[np.ix_(seeds, rows)].mean()), *lost.shape, seed=draw)
    return np.stack([points, nats])


def _in_row(differences: NDArray[np.float64]) -> dict[str, float]:
    columns = ["mean", "low", "high", "log_loss", "log_loss_low", "log_loss_high"]
    return dict(zip(columns, [end for side in differences for end in interval(side)], strict=True))


def scenario_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return mean and 95 % interval over seeds, in percent, and mean seconds of every way in every scenario."""
    keys = ["kind", "task", "metric", "teacher", "way", "rows_a_class"]
    parts = [name for name in ("old", "new") if name in rows]
    table = rows.reindex(columns=[*keys, "all", *parts, "seconds"])
    table[parts] *= 100
    # "All" rows of a class are as many as were drawn; over seeds the mean of that is meant.
    many = (table["kind"] == "new_classes") & (table["rows_a_class"] > max(filter(None, ROWS_A_NEW_CLASS)))
    if many.any():
        table.loc[many, "rows_a_class"] = round(table.loc[many, "rows_a_class"].mean())
    return _over_seeds(table, keys, "all", [*parts, "seconds"])


def _over_seeds(rows: pd.DataFrame, keys: list[str], score: str, others: list[str]) -> pd.DataFrame:
    """Return means over seeds, of a score in percent, with its interval by Student's t.

    Two seeds give no interval: that they agree can be chance.
    """
    groups = rows.groupby(keys, sort=False, dropna=False)
    seeds, mean, error = groups.size(), 100 * groups[score].mean(), 100 * groups[score].sem()
    half = (error * stats.t.ppf(0.975, seeds - 1)).where(seeds >= FEWEST_SEEDS)
    table = pd.DataFrame({"seeds": seeds, "mean": mean, "low": mean - half, "high": mean + half})
    return table.join(groups[others].mean()).reset_index()


def in_markdown(tables: Mapping[str, pd.DataFrame]) -> str:
    """Return tables by name as one Markdown page; ``mean``, ``low`` and ``high`` become one column."""
    page = ["# Tables of the study", "", LEGEND, ""]
    for name, table in tables.items():
        shown = table.drop(columns=["mean", "low", "high"], errors="ignore")
        if "mean" in table:
            shown.insert(list(shown).index("seeds") + 1, "mean [95 % interval]", table.apply(_with_interval, axis=1))
        # to_markdown needs tabulate for this, and pads every cell
        lines = [shown.columns, ["---"] * shown.shape[1], *shown.map(_in_cell).to_numpy()]
        page += [f"## {name.capitalize()}", "", *("| " + " | ".join(line) + " |" for line in lines), ""]
    return "\n".join(page)


def _with_interval(row: "pd.Series[Any]") -> str:
    return f"{row['mean']:.2f}" + ("" if np.isnan(row["low"]) else f" [{row['low']:.2f}, {row['high']:.2f}]")


def _in_cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.0f}" if value.is_integer() else f"{value:.2f}"
    return str(value)


def _saved(figure: go.Figure, path: Path) -> Path:
    try:
        with whole_file(path) as writing:
            figure.write_image(writing)
    except (ImportError, ValueError, RuntimeError) as error:
        raise ReAugKDError(
            "The plots cannot be drawn: Kaleido or a Chrome browser is missing; install reaugkd[study] and Chromium."
        ) from error
    return path


def comparison_figure(comparisons: pd.DataFrame) -> go.Figure:
    """Draw paired differences with their intervals, each pair in a panel; the title states the first pair's."""
    shown = comparisons.assign(
        panel=comparisons["ours"] + "<br>minus " + comparisons["baseline"],
        text=comparisons["mean"].map("{:+.2f}".format),
        is_average=comparisons["task"] == ALL_TASKS,
    )
    first = shown[shown["panel"] == shown["panel"].iloc[0]].iloc[-1]
    title = (
        f"{first['ours']} minus {first['baseline']}: {first['mean']:+.2f} points on {first['task']}"
        f"<br><sub>in points: mean and 95 % interval over {_counted(comparisons)} and the test rows</sub>"
    )
    tasks, lines = shown["task"].nunique(), -(-shown["panel"].nunique() // PANELS_A_ROW)
    options = {"text": "text", "facet_col_wrap": PANELS_A_ROW, "facet_row_spacing": 0.25 / lines}
    options |= {"color": "is_average", "color_discrete_map": {False: PALETTE[0], True: PALETTE[4]}}
    figure = _panels(shown, title, lines * (2 * tasks + 3), x="mean", y="task", **options)
    ends = np.append(comparisons[["mean", "low", "high"]].to_numpy(), 0)  # one range, so that panels compare
    room = 0.12 * np.ptp(ends)
    figure.update_traces(textposition="top center", cliponaxis=False, showlegend=False)
    figure.add_vline(x=0, line={"color": INK, "width": 2}, layer="below")
    figure.update_xaxes(range=[ends.min() - room, ends.max() + room], nticks=9, showticklabels=True)
    return figure.update_yaxes(range=[-0.5, tasks - 0.3])


def scenario_figure(scenario: pd.DataFrame) -> go.Figure:
    """Draw every way of one scenario with its interval over seeds, each task in a panel; new classes have two.

    Parameters
    ----------
    scenario : DataFrame
        As :func:`reaugkd.study.report.scenario_table` gives it, of one kind.

    Returns
    -------
    Figure
        Points: over the counts of rows, a colour a way, where there are several, or else below one another. What is
        trained again is dashed; the title says which other way is best.
    """
    panel = scenario["task"] + "<br>" + scenario["metric"].str.replace("_", " ") + ", %"
    shown, title = scenario.assign(panel=panel), _scenario_title(scenario)
    if scenario["kind"].iloc[0] == "new_classes":
        parts = {part: shown["panel"].str.replace("<br>", f", {part} classes<br>") for part in ("new", "old")}
        parted = [shown.assign(panel=panel, mean=shown[part], low=None, high=None) for part, panel in parts.items()]
        shown = pd.concat(parted, ignore_index=True)
    if scenario.groupby("task")["rows_a_class"].nunique().max() <= 1:
        return _panels(shown, title, shown["way"].nunique(), x="mean", y="way").update_xaxes(matches=None)
    shown["rows a class"] = shown["rows_a_class"].astype(int).astype(str)
    figure = _panels(shown, title, 12, x="rows a class", y="mean", color="way")
    figure.for_each_trace(lambda line: line.update(line_dash="dash" if line.name.startswith(AGAIN) else "solid"))
    figure.update_traces(mode="lines+markers").update_xaxes(type="category", title="rows a class")
    return figure.update_yaxes(matches=None, showticklabels=True).update_layout(legend_y=-0.25)


def cost_figure(costs: pd.DataFrame) -> go.Figure:
    """Draw accuracy against latency: a line for each way to answer, a panel for each number of texts at once."""
    shown = costs.sort_values(["batch", "milliseconds"]).rename(columns={"score": "mean"})
    shown = shown.assign(
        way=shown["answer"].map(_way_in_words),
        depth=shown["layers"].astype(int).astype(str),
        panel=shown["batch"].map(lambda size: "one text" if size == 1 else f"{size} texts at once"),
        **{end: np.nan for end in ("low", "high")},
    )
    shallow = costs[(costs["answer"] == "pool") & (costs["layers"] <= 3)]
    title = (
        f"The free keys gain {shallow['gain'].mean():+.1f} points at equal latency, up to 3 layers"
        "<br><sub>mean accuracy over the tasks; the number at a point is its layers; 2 cores</sub>"
    )
    figure = _panels(shown, title, 11, x="milliseconds", y="mean", color="way", text="depth", log_x=True)
    figure.update_traces(mode="lines+markers+text", textposition="top left")
    figure.update_xaxes(matches=None, title="milliseconds", tickvals=[2, 5, 10, 20, 50, 100, 200, 500, 1_000])
    return figure.update_yaxes(title="accuracy, %", col=1).update_layout(legend_y=-0.25)


def _way_in_words(answer: str) -> str:
    _, is_encoder, layers = answer.partition("pool+encoder")
    return f"with {layers} untuned layers too" if is_encoder else WAYS.get(answer, TEACHER)


def _scenario_title(scenario: pd.DataFrame) -> str:
    """Rank the ways by all test rows, where all were measured: classes found at the cost of others are no gain."""
    kind, again = str(scenario["kind"].iloc[0]), scenario["way"].str.startswith(AGAIN)
    ranked = scenario[~again].fillna({"rows_a_class": 0})
    settings = ranked.pivot_table(index=["task", "rows_a_class"], columns="way", values="mean")
    shared = settings.dropna()
    shared = settings if shared.empty else shared
    best, compared = shared.mean().idxmax(), set(shared.index.unique("task"))
    tasks = [task for task in scenario["task"].unique() if task in compared]
    where = "" if len(tasks) == scenario["task"].nunique() else f" on {', '.join(tasks)}"
    shown, untrained = kind.replace("_", " ").capitalize(), " without training again" if again.any() else ""
    return f"{shown}: best{untrained}{where} is “{best}”<br><sub>mean over {_counted(scenario)}</sub>"


def _counted(rows: pd.DataFrame) -> str:
    fewest, most = int(rows["seeds"].min()), int(rows["seeds"].max())
    return f"{most} seed{'s' * (most > 1)}" if fewest == most else f"{fewest} to {most} seeds"


def _panels(rows: pd.DataFrame, title: str, height: int, *, x: str, y: str, **options: Any) -> go.Figure:
    """Draw means with their intervals as points, a panel for each ``panel``; the height is that of so many rows."""
    error = f"error_{'x' if x == 'mean' else 'y'}"
    figure = px.scatter(
        rows.assign(above=rows["high"] - rows["mean"], below=rows["mean"] - rows["low"]),
        x=x,
        y=y,
        facet_col="panel",
        facet_col_spacing=0.03 if x == "mean" else 0.08,
        category_orders={name: rows[name].unique() for name in ("panel", "way", "task") if name in rows},
        color_discrete_sequence=PALETTE,
        template="plotly_white",
        **{error: "above", f"{error}_minus": "below"},
        **options,
    )
    figure.for_each_annotation(lambda panel: panel.update(text=panel.text.partition("=")[2], font_size=12))
    figure.update_layout(
        title={"text": title, "x": 0.01, "y": 1, "pad": {"t": 26}, "yanchor": "top", "font": {"size": 18}},
        font={"size": 13, "color": INK},
        width=1_000,
        height=190 + 26 * height,
        margin={"l": 10, "r": 20, "t": 130, "b": 60},
        legend={"orientation": "h", "y": -0.12, "yanchor": "top", "title": ""},
    )
    figure.update_traces(marker_size=9, error_x_thickness=1.5, error_y_thickness=1.5)
    figure.update_xaxes(zeroline=False, title="")
    return figure.update_yaxes(zeroline=False, automargin=True, title="")
