"""The plots of a study, as pure functions from its tables to Plotly figures."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from reaugkd.figures import PALETTE

INK, PAPER = "#22252B", "#FFFFFF"
WIDTH = 1_000
ROW_HEIGHT = 26


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
        metric = shown.loc[shown["task"] == task, "metric"].iloc[0].replace("_", " ")
        figure.update_xaxes(title=f"{metric}, %", row=1, col=column)
    figure.update_yaxes(categoryorder="array", categoryarray=ways)
    seeds = int(summary["seeds"].max())
    title = f"Best on average: {winner}<br><sub>mean and 95 % interval over {seeds} seed{'s' * (seeds > 1)}</sub>"
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
        Points with bars over seeds around a line at 0; the title says by how much the first pair differs.
    """
    pairs = list(dict.fromkeys(zip(comparisons["ours"], comparisons["baseline"], strict=True)))
    titles = [f"{ours}<br>minus {theirs}" for ours, theirs in pairs]
    figure = make_subplots(1, len(pairs), shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.04)
    tasks = list(dict.fromkeys(comparisons["task"]))
    for column, (ours, theirs) in enumerate(pairs, start=1):
        rows = comparisons[(comparisons["ours"] == ours) & (comparisons["baseline"] == theirs)]
        colours = [PALETTE[0] if task in tasks[:-1] or len(tasks) == 1 else PALETTE[4] for task in rows["task"]]
        figure.add_scatter(
            x=rows["mean"],
            y=rows["task"],
            error_x=_bars(rows),
            mode="markers+text",
            text=[f"{mean:+.2f}" for mean in rows["mean"]],
            textposition="top center",
            marker={"color": colours, "size": 9},
            showlegend=False,
            row=1,
            col=column,
        )
        figure.add_vline(x=0, line={"color": INK, "width": 1}, row=1, col=column)
        figure.update_xaxes(title="points", row=1, col=column)
    figure.update_yaxes(categoryorder="array", categoryarray=tasks[::-1])
    first = comparisons[(comparisons["ours"] == pairs[0][0]) & (comparisons["baseline"] == pairs[0][1])].iloc[-1]
    seeds = int(comparisons["seeds"].max())
    title = (
        f"{first['ours']} minus {first['baseline']}: {first['mean']:+.2f} points on {first['task']}"
        f"<br><sub>mean and 95 % interval over {seeds} seed{'s' * (seeds > 1)}</sub>"
    )
    return _styled(figure, title, 2 * len(tasks))


def _bars(rows: pd.DataFrame) -> dict[str, object]:
    """Return error bars; a single seed has none."""
    return {
        "type": "data",
        "symmetric": False,
        "array": np.nan_to_num(rows["high"] - rows["mean"]),
        "arrayminus": np.nan_to_num(rows["mean"] - rows["low"]),
        "thickness": 1.5,
    }


def _styled(figure: go.Figure, title: str, rows: int) -> go.Figure:
    figure.update_layout(
        title={"text": title, "x": 0.01, "font": {"size": 18}},
        font={"size": 13, "color": INK},
        paper_bgcolor=PAPER,
        plot_bgcolor=PAPER,
        width=WIDTH,
        height=190 + ROW_HEIGHT * rows,
        margin={"l": 10, "r": 20, "t": 120, "b": 60},
        legend={"orientation": "h", "y": -0.12, "yanchor": "top"},
    )
    figure.update_xaxes(gridcolor="#E3E5E9", zeroline=False)
    figure.update_yaxes(gridcolor="#E3E5E9", automargin=True)
    return figure
