"""Plots of a model: its answers and its training; the app and the notebooks draw with the same ones."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from reaugkd.measures.calibration import FEWEST_ANSWERED, Threshold
from reaugkd.plots import charts
from reaugkd.plots.charts import OTHER_COLOUR, PALETTE, TEXT_COLOUR, VOICE_COLOURS

if TYPE_CHECKING:  # a page that draws does not wait for torch
    from reaugkd.model.explanation import Explanation
    from reaugkd.model.maps import TrainingEpochs


def contributions_figure(explanation: "Explanation") -> go.Figure:
    """Draw what the student and each key add to the lead of the answer over the runner-up.

    Parameters
    ----------
    explanation : Explanation
        The answer.

    Returns
    -------
    Figure
        Horizontal bars of the parts and of their sum: log-odds, or in a linear pool differences of probability. To the
        left of zero a part speaks for the runner-up.
    """
    parts = {"sum": explanation.lead} | dict(reversed(explanation.parts.items()))
    if not explanation.new_classes_part:
        del parts["new classes"]
    keys, values = [key.name for key in explanation.keys], list(parts.values())
    names = [f"{voice} key" if voice in keys else voice for voice in parts]
    shown = [f"{round(value, 2) + 0.0:+.2f}" for value in values]  # no -0.00
    beside = {"text": shown, "textposition": "outside", "cliponaxis": False}
    hover = "%{y}: %{x:+.3f}<extra></extra>"
    of_parts = [VOICE_COLOURS.get(voice, VOICE_COLOURS["answer"]) for voice in parts]
    figure = go.Figure(go.Bar(x=values, y=names, orientation="h", marker_color=of_parts, hovertemplate=hover, **beside))
    unit = "difference of probability" if explanation.pool.kind == "linear" else "log-odds"
    pair = f"“{charts.escaped(explanation.label)}” against “{charts.escaped(explanation.runner_up)}”"
    figure.update_layout(height=160 + 36 * len(names))
    low, high = min(0.0, *values), max(0.0, *values)
    margin = 0.1 * (high - low) or 1.0  # room for the numbers beside the longest bars
    figure.update_xaxes(title=unit, range=[low - margin, high + margin])
    figure.update_yaxes(title="part", ticksuffix="  ")
    return charts.styled(figure, f"{pair}: {explanation.lead:+.2f}")


def coverage_figure(tables: Mapping[str, pd.DataFrame], threshold: Threshold | None = None) -> go.Figure:
    """Draw the accuracy of what is answered against its share, when the others are left to a person.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        By the name of some rows, as :func:`reaugkd.measures.calibration.coverage_table` gives it; the rows that the
        threshold was chosen on first. Where fewer than ten rows are answered, nothing is drawn.
    threshold : Threshold, optional
        Marked on each line; its effect on the last one is the title.

    Returns
    -------
    Figure
        A line for each table.
    """
    drawn = {charts.escaped(name): of[of["rows"] >= min(FEWEST_ANSWERED, len(of))] for name, of in tables.items()}
    lines = {name: ((100 * of["share"]).tolist(), (100 * of["accuracy"]).tolist()) for name, of in drawn.items()}
    title = "The fewer are answered, the more of them should be right"
    figure = charts.lines_figure(lines, "answered, percent of the rows", "right of these, percent", title)
    figure.update_traces(mode="lines", hovertemplate="%{x:.0f} % answered: %{y:.1f} % right")
    least = 0.0 if threshold is None else threshold.least
    for name, table, colour in zip(drawn if threshold else (), tables.values(), PALETTE, strict=False):
        reached = table[table["least"] >= least].tail(1)
        title = f"At the threshold none of the {name} are answered"
        for x, y in (100 * reached[["share", "accuracy"]]).to_numpy().tolist():
            mark = {"color": colour, "size": 12, "symbol": "diamond", "line": {"color": TEXT_COLOUR, "width": 1}}
            figure.add_scatter(x=[x], y=[y], mode="markers", marker=mark, showlegend=False, hovertext=name)
            title = f"At the threshold {x:.0f} % of the {name}<br>are answered, {y:.1f} % of these right"
    lowest = min((min(y) for _, y in lines.values() if y), default=0.0)
    figure.update_xaxes(range=[0, 102])
    figure.update_yaxes(range=[max(0.0, lowest - 5), 102])
    return charts.styled(figure, title)


def training_figure(
    losses: Mapping[str, Sequence[tuple[int, float]]], scores: Mapping[str, Sequence[tuple[int, float]]]
) -> go.Figure:
    """Draw the training loss of each stage, and the score on validation rows after each epoch.

    Parameters
    ----------
    losses : mapping of str to sequence of (step, loss)
        By stage, in the order of training. Losses of different kinds do not compare by their height: the axis is
        logarithmic, on which a fall by a half is as long anywhere.
    scores : mapping of str to sequence of (epoch, score)
        By stage, from 0 to 1; higher is better.

    Returns
    -------
    Figure
        Two panels, the stages over one another, each in one colour.
    """
    figure = make_subplots(1, 2, subplot_titles=["Training loss", "Score on validation rows"], horizontal_spacing=0.14)
    colours = dict(zip([*losses, *(stage for stage in scores if stage not in losses)], cycle(PALETTE), strict=False))
    for column, (lines, mode) in enumerate(((losses, "lines"), (scores, "lines+markers")), start=1):
        for stage, points in lines.items():
            x, y = zip(*points, strict=True) if points else ((), ())
            of_stage = {"name": stage, "legendgroup": stage, "line_color": colours[stage], "mode": mode}
            figure.add_scatter(x=x, y=y, showlegend=column == 1 or stage not in losses, **of_stage, row=1, col=column)
    figure.update_xaxes(rangemode="tozero")
    figure.update_yaxes(title="training loss", type="log", col=1)
    figure.update_layout(height=340, xaxis_title="step", xaxis2_title="epoch", yaxis2_tickformat=".0%")
    return charts.styled(figure, "How each stage learns")


def epochs_figure(epochs: "TrainingEpochs", *, playable: bool = True) -> go.Figure:
    """Draw where the watched texts lie for the teacher, and for the student after its last epoch.

    Parameters
    ----------
    epochs : TrainingEpochs
        At least one epoch.
    playable : bool
        Add a button and a slider that show every epoch; a page that draws again at each epoch needs none.

    Returns
    -------
    Figure
        Two panels on the same axes, coloured by gold label; the title tells the mean distance from x to z.
    """
    last = len(epochs) - 1
    colours = charts.class_colours(pd.Series(epochs.labels).value_counts().index.tolist())
    titles = ["Teacher's embeddings z", f"Student's embeddings x, {_after(last)}"]
    figure = make_subplots(rows=1, cols=2, subplot_titles=titles, shared_yaxes=True, horizontal_spacing=0.03)
    for column, points in enumerate((epochs.teacher_points, epochs.student_points[last]), start=1):
        charts.add_points(figure, column, points, epochs.labels, colours)
    figure.update_traces(showlegend=False, selector={"marker.color": OTHER_COLOUR})
    if playable:
        _add_playing(figure, epochs, list(colours))
    every = np.concatenate([epochs.teacher_points[None], epochs.student_points]).reshape(-1, 2)
    low, high = every.min(axis=0), every.max(axis=0)
    margin = 0.05 * (high - low).max()
    figure.update_xaxes(range=[low[0] - margin, high[0] + margin], title="first axis")
    figure.update_yaxes(range=[low[1] - margin, high[1] + margin])
    figure.update_yaxes(title="second axis", col=1)
    figure.update_layout(height=460 + 90 * playable)
    away = np.linalg.norm(epochs.student_points - epochs.teacher_points, axis=2).mean(axis=1)
    before = f", {away[0]:.2f} before" if last else ""
    seen = f"(two axes, {epochs.explained:.0%} of variance)"
    return charts.styled(figure, f"Mean distance of x to z: {away[last]:.2f} {_after(last)}{before} {seen}")


def _after(epoch: int) -> str:
    return f"after epoch {epoch}" if epoch else "before the training"


def _add_playing(figure: go.Figure, epochs: "TrainingEpochs", names: list[str]) -> None:
    """Add a frame for each epoch, which moves the traces of the second panel alone."""
    second = list(range(len(names), 2 * len(names)))
    at_once: dict[str, Any] = {"mode": "immediate", "frame": {"duration": 0, "redraw": False}}
    slow: dict[str, Any] = {"frame": {"duration": 700, "redraw": False}, "transition": {"duration": 400}}
    frames, steps = [], []
    for number, points in enumerate(epochs.student_points):
        moved = [go.Scatter(x=at[:, 0], y=at[:, 1]) for at in (points[epochs.labels == name] for name in names)]
        frames.append(go.Frame(name=str(number), data=moved, traces=second))
        steps.append({"label": str(number), "method": "animate", "args": [[str(number)], at_once]})
    figure.frames = frames
    slider = {"steps": steps, "active": len(steps) - 1, "currentvalue": {"prefix": "epoch "}}
    play = {"buttons": [{"label": "Play", "method": "animate", "args": [None, slow]}], "type": "buttons"}
    figure.update_layout(
        sliders=[{**slider, "x": 0.12, "len": 0.88, "y": -0.12}],
        updatemenus=[{**play, "x": 0.1, "xanchor": "right", "y": -0.2, "showactive": False}],
        legend={"orientation": "v", "x": 1.01},
    )
