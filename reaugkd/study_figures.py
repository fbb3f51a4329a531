"""The plots of a study, as pure functions from its tables to Plotly figures."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from reaugkd.figures import PALETTE

ALL_TASKS = "all tasks"
INK, PAPER = "#22252B", "#FFFFFF"
WIDTH = 1_000
ROW_HEIGHT = 26
PANELS_A_ROW = 3
AGAIN = "retrained"  # so begin the names of ways that train again, which a memory is measured against


def methods_figure(summary: pd.DataFrame) -> go.Figure:
    """Draw the mean of every way to answer with its interval over seeds, a panel a task.

    Parameters
    ----------
    summary : DataFrame
        As :func:`reaugkd.study_report.summarised` gives it, of one teacher.

    Returns
    -------
    Figure
        Points with bars; the title names the best way.
    """
    shown = summary.assign(way=summary["method"] + " / " + summary["answer"])
    tasks = list(shown["task"].unique())
    ways = list(dict.fromkeys(shown["way"]))[::-1]
    best = shown.groupby("way")["mean"].agg(["mean", "size"])
    winner = best[best["size"] == best["size"].max()]["mean"].idxmax()
    figure = make_subplots(1, len(tasks), shared_yaxes=True, subplot_titles=tasks, horizontal_spacing=0.03)
    methods = list(shown["method"].unique())
    for column, task in enumerate(tasks, start=1):
        for number, method in enumerate(methods):
            rows = shown[(shown["task"] == task) & (shown["method"] == method)]
            figure.add_scatter(
                x=rows["mean"],
                y=rows["way"],
                error_x=_bars(rows),
                mode="markers",
                marker={"color": PALETTE[number], "size": 8},
                name=method,
                legendgroup=method,
                showlegend=column == 1,
                row=1,
                col=column,
            )
        figure.update_xaxes(title=_percent_of(_metric(shown, task)), row=1, col=column)
    figure.update_yaxes(categoryorder="array", categoryarray=ways)
    title = f"Best on average: {winner}<br><sub>mean and 95 % interval over {_counted(summary)}</sub>"
    return _styled(figure, title, len(ways))


def comparison_figure(comparisons: pd.DataFrame) -> go.Figure:
    """Draw paired differences with their intervals, a panel a pair.

    Parameters
    ----------
    comparisons : DataFrame
        As :func:`reaugkd.study_report.compared` gives it, of one teacher.

    Returns
    -------
    Figure
        Points with bars around a line at 0; the title says by how much the first pair differs.
    """
    pairs = list(dict.fromkeys(zip(comparisons["ours"], comparisons["baseline"], strict=True)))
    titles = [f"{ours}<br>minus {theirs}" for ours, theirs in pairs]
    columns, lines = min(len(pairs), PANELS_A_ROW), -(-len(pairs) // PANELS_A_ROW)
    figure = make_subplots(
        lines,
        columns,
        shared_yaxes=True,
        subplot_titles=titles,
        horizontal_spacing=0.03,
        vertical_spacing=0.25 / lines,
    )
    tasks = list(dict.fromkeys(comparisons["task"]))
    for number, (ours, theirs) in enumerate(pairs):
        line, column = number // columns + 1, number % columns + 1
        rows = comparisons[(comparisons["ours"] == ours) & (comparisons["baseline"] == theirs)]
        colours = [PALETTE[4] if task == ALL_TASKS else PALETTE[0] for task in rows["task"]]
        figure.add_scatter(
            x=rows["mean"],
            y=rows["task"],
            error_x=_bars(rows),
            mode="markers+text",
            text=[f"{mean:+.2f}" for mean in rows["mean"]],
            textposition="top center",
            cliponaxis=False,
            marker={"color": colours, "size": 9},
            showlegend=False,
            row=line,
            col=column,
        )
        figure.add_vline(x=0, line={"color": INK, "width": 2}, layer="below", row=line, col=column)
        figure.update_xaxes(title="points" if number + columns >= len(pairs) else "", row=line, col=column)
    ends = np.append(comparisons[["mean", "low", "high"]].to_numpy(), 0)  # one range, so that panels compare
    room = 0.12 * np.ptp(ends)
    figure.update_xaxes(range=[ends.min() - room, ends.max() + room], nticks=9)
    figure.update_yaxes(categoryorder="array", categoryarray=tasks[::-1], range=[-0.5, len(tasks) - 0.3])
    figure.update_annotations(font_size=12)
    first = comparisons[(comparisons["ours"] == pairs[0][0]) & (comparisons["baseline"] == pairs[0][1])].iloc[-1]
    title = (
        f"{first['ours']} minus {first['baseline']}: {first['mean']:+.2f} points on {first['task']}"
        f"<br><sub>mean and 95 % interval over {_counted(comparisons)} and the test rows</sub>"
    )
    return _styled(figure, title, lines * (2 * len(tasks) + 3))


def scenario_figure(scenario: pd.DataFrame) -> go.Figure:
    """Draw every way of one scenario with its interval over seeds, a panel a task; of new classes, old and new ones.

    Parameters
    ----------
    scenario : DataFrame
        As :func:`reaugkd.study_report.scenario_table` gives it, of one kind.

    Returns
    -------
    Figure
        Points: over the counts of rows, a colour a way, where there are several, or else below one another. What is
        trained again is dashed; the title says which other way is best.
    """
    counts = scenario.groupby("task")["rows_a_class"].nunique().max()
    figure = _over_counts(scenario) if counts > 1 else _below_one_another(scenario)
    figure.update_layout(title_text=_scenario_title(scenario))
    return figure


def _over_counts(scenario: pd.DataFrame) -> go.Figure:
    by_part = scenario["kind"].iloc[0] == "new_classes"
    panels = ["new", "old"] if by_part else list(scenario["task"].unique())
    titles = ["accuracy on the new classes", "accuracy on the old classes"] if by_part else panels
    figure = make_subplots(1, len(panels), subplot_titles=titles, horizontal_spacing=0.08)
    for column, panel in enumerate(panels, start=1):
        for number, way in enumerate(scenario["way"].unique()):
            rows = scenario[scenario["way"] == way]
            rows = rows if by_part else rows[rows["task"] == panel]
            figure.add_scatter(
                x=rows["rows_a_class"].astype(int).astype(str),
                y=rows[panel] if by_part else rows["mean"],
                error_y=None if by_part else _bars(rows),
                mode="lines+markers",
                marker={"color": PALETTE[number % len(PALETTE)], "size": 9},
                line={"dash": "dash" if way.startswith(AGAIN) else "solid"},
                name=way,
                legendgroup=way,
                showlegend=column == 1,
                row=1,
                col=column,
            )
        figure.update_xaxes(title="rows a class", type="category", row=1, col=column)
        figure.update_yaxes(title=_percent_of("accuracy" if by_part else _metric(scenario, panel)), row=1, col=column)
    figure = _styled(figure, "", 12)
    figure.update_layout(legend={"y": -0.25})
    return figure


def _below_one_another(scenario: pd.DataFrame) -> go.Figure:
    ways, tasks = list(scenario["way"].unique()), list(scenario["task"].unique())
    figure = make_subplots(1, len(tasks), shared_yaxes=True, subplot_titles=tasks, horizontal_spacing=0.03)
    for column, task in enumerate(tasks, start=1):
        rows = scenario[scenario["task"] == task]
        figure.add_scatter(
            x=rows["mean"],
            y=rows["way"],
            error_x=_bars(rows),
            mode="markers",
            marker={"color": PALETTE[0], "size": 9},
            showlegend=False,
            row=1,
            col=column,
        )
        figure.update_xaxes(title=_percent_of(_metric(scenario, task)), row=1, col=column)
    figure.update_yaxes(categoryorder="array", categoryarray=ways[::-1])
    return _styled(figure, "", len(ways))


def _scenario_title(scenario: pd.DataFrame) -> str:
    """Rank the ways where all were measured: a memory without a row of the new classes finds none of them."""
    kind, again = str(scenario["kind"].iloc[0]), scenario["way"].str.startswith(AGAIN)
    ranked = scenario[~again].fillna({"rows_a_class": 0})
    values = "new" if kind == "new_classes" else "mean"
    settings = ranked.pivot_table(index=["task", "rows_a_class"], columns="way", values=values)
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


def _metric(rows: pd.DataFrame, task: str) -> str:
    return str(rows.loc[rows["task"] == task, "metric"].iloc[0])


def _percent_of(metric: str) -> str:
    return f"{metric.replace('_', ' ')}, %"


def _bars(rows: pd.DataFrame) -> dict[str, object]:
    """Return error bars; where there is no interval, none."""
    return {
        "type": "data",
        "symmetric": False,
        "array": np.nan_to_num(rows["high"] - rows["mean"]),
        "arrayminus": np.nan_to_num(rows["mean"] - rows["low"]),
        "thickness": 1.5,
    }


def _styled(figure: go.Figure, title: str, rows: int) -> go.Figure:
    figure.update_layout(
        title={"text": title, "x": 0.01, "y": 1, "pad": {"t": 26}, "yanchor": "top", "font": {"size": 18}},
        font={"size": 13, "color": INK},
        paper_bgcolor=PAPER,
        plot_bgcolor=PAPER,
        width=WIDTH,
        height=190 + ROW_HEIGHT * rows,
        margin={"l": 10, "r": 20, "t": 130, "b": 60},
        legend={"orientation": "h", "y": -0.12, "yanchor": "top"},
    )
    figure.update_xaxes(gridcolor="#E3E5E9", zeroline=False)
    figure.update_yaxes(gridcolor="#E3E5E9", automargin=True)
    return figure
