"""The plots of a study, as pure functions from its tables to Plotly figures."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go

from reaugkd.plots.charts import PALETTE

ALL_TASKS = "all tasks"
INK = "#22252B"
PANELS_A_ROW = 3
WAYS, TEACHER = {"off": "student alone", "pool": "with the free keys"}, "the teacher"
AGAIN = "retrained"  # begins the names of ways that train again; a memory is measured against them


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
    colours = {False: PALETTE[0], True: PALETTE[4]}
    options = {"text": "text", "facet_col_wrap": PANELS_A_ROW, "facet_row_spacing": 0.25 / lines}
    options |= {"color": "is_average", "color_discrete_map": colours}
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
