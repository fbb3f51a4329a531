"""Plots of a model: its answers, maps, trainings and ablations; the app and the notebooks draw with the same ones."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from reaugkd.measures.selective import FEWEST_ANSWERED
from reaugkd.model.card import METHOD_NAMES
from reaugkd.plots.charts import (
    OTHER_COLOUR,
    PALETTE,
    TEXT_COLOUR,
    VOICE_COLOURS,
    add_points,
    class_colours,
    escaped,
    lines_figure,
    shortened,
    styled,
)
from reaugkd.texts import row_in_one_line

if TYPE_CHECKING:  # a page that draws does not wait for torch
    from reaugkd.measures.selective import Threshold
    from reaugkd.model.explanation import Explanation
    from reaugkd.model.maps import ProjectionMaps, TrainingEpochs

MAX_BARS = 10
MAX_MAP_POINTS = 3_000


def probabilities_figure(explanation: "Explanation") -> go.Figure:
    """Draw the class probabilities of the student, of the memory alone (λ = 1) and of the answer side by side.

    Parameters
    ----------
    explanation : Explanation
        The answer; of more than ten classes the ten likeliest are drawn.

    Returns
    -------
    Figure
        Horizontal bars, the likeliest class on top; the student has none for a class that it does not know.
    """
    unknown = len(explanation.classes) - len(explanation.student_probabilities)
    student = np.pad(explanation.student_probabilities, (0, unknown), constant_values=np.nan)
    heights = np.stack([student, explanation.memory_probabilities, explanation.probabilities])
    order = np.argsort(-heights[2], kind="stable")[:MAX_BARS][::-1]
    names = [escaped(explanation.classes[number]) for number in order]
    figure = go.Figure()
    voices = ("student", "memory", "answer")
    for name, values in reversed(list(zip(voices, heights, strict=True))):
        shown = [f"{value:.2f}" if value >= 0.005 else "" for value in values[order]]
        hover = "%{y}: %{x:.3f}<extra>" + name + "</extra>"
        style = {"name": name, "textfont_size": 11, "constraintext": "none"}
        _add_bars(figure, names, values[order], shown, VOICE_COLOURS[name], hovertemplate=hover, **style)
    plot_height = max(180, 51 * len(names))
    legend = {"orientation": "h", "y": -55 / plot_height, "yanchor": "top", "x": 0, "traceorder": "reversed"}
    figure.update_layout(barmode="group", bargap=0.25, height=plot_height + 160, legend=legend)
    figure.update_xaxes(title="probability", range=[0, 1.08], tickvals=[0, 0.25, 0.5, 0.75, 1])
    figure.update_yaxes(title="class", ticksuffix="  ")
    return styled(figure, _retrieval_effect(explanation))


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
    parts = {"sum": explanation.lead}
    if explanation.new_classes_part:
        parts["new classes"] = explanation.new_classes_part
    parts |= {f"{key.name} key": key.part for key in reversed(explanation.keys)}
    parts["student"] = explanation.student_part
    colours = VOICE_COLOURS | {f"{key.name} key": VOICE_COLOURS[key.name] for key in explanation.keys}
    names, values = list(parts), list(parts.values())
    figure = go.Figure()
    of_parts = [colours.get(name, colours["answer"]) for name in names]
    hover = "%{y}: %{x:+.3f}<extra></extra>"
    shown = [f"{round(value, 2) + 0.0:+.2f}" for value in values]  # no -0.00
    _add_bars(figure, names, values, shown, of_parts, hovertemplate=hover)
    unit = "difference of probability" if explanation.pool.kind == "linear" else "log-odds"
    pair = f"“{escaped(explanation.label)}” against “{escaped(explanation.runner_up)}”"
    figure.update_layout(height=160 + 36 * len(names))
    low, high = min(0.0, *values), max(0.0, *values)
    margin = 0.1 * (high - low) or 1.0  # room for the numbers beside the longest bars
    figure.update_xaxes(title=unit, range=[low - margin, high + margin])
    figure.update_yaxes(title="part", ticksuffix="  ")
    return styled(figure, f"{pair}: {explanation.lead:+.2f}")


def _retrieval_effect(explanation: "Explanation") -> str:
    alone, answer, memory = (
        f"“{escaped(name)}”" for name in (explanation.student_label, explanation.label, explanation.memory_label)
    )
    key = explanation.keys_by_part[0]
    agree = sum(explanation.classes[int(n.soft_labels.argmax())] == explanation.label for n in key.neighbours)
    of_all = f"{agree} of {len(key.neighbours)} neighbours by the {key.name} key agree"
    if explanation.memory_alone:
        change = f"Memory alone: {answer}, which the student does not know"
    elif alone != answer:
        change = f"Retrieval: {alone} → {answer}"
    elif memory != answer:
        change = f"Student: {answer}, against the memory's {memory}"
    else:
        change = f"Student and memory: {answer}"
    return f'{change}<br><span style="font-size:12px">{of_all}</span>'


def _add_bars(
    figure: go.Figure, names: list[str], values: Any, shown: list[str], colours: str | list[str], **style: Any
) -> None:
    """Add horizontal bars with their numbers beside them."""
    beside = {"text": shown, "textposition": "outside", "cliponaxis": False}
    figure.add_bar(x=values, y=names, orientation="h", marker_color=colours, **beside, **style)


def ablations_figure(metrics: Mapping[str, Any]) -> go.Figure:
    """Draw the test score of every method.

    Parameters
    ----------
    metrics : mapping
        The content of ``metrics.json``.

    Returns
    -------
    Figure
        Horizontal bars; the best of the students is named in the title.
    """
    methods = metrics["methods"]
    scores = {name: 100 * methods[method]["test"] for method, name in METHOD_NAMES.items() if method in methods}
    best = max((name for name in scores if not name.startswith("Teacher")), key=lambda name: scores[name])
    names = list(scores)[::-1]
    values = [scores[name] for name in names]
    colours = [PALETTE[0] if name == best else OTHER_COLOUR for name in names]
    bars = go.Bar(x=values, y=names, orientation="h", marker_color=colours, text=[f"{value:.1f}" for value in values])
    figure = go.Figure(bars)
    figure.update_layout(height=380)
    figure.update_yaxes(title="method")
    figure.update_xaxes(title=f"{metrics['metric'].replace('_', ' ')} on test, percent", rangemode="tozero")
    return styled(figure, f"Best student: {best}, {scores[best]:.1f} (teacher {scores['Teacher']:.1f})")


def coverage_figure(tables: Mapping[str, pd.DataFrame], threshold: "Threshold | None" = None) -> go.Figure:
    """Draw the accuracy of what is answered against its share, when the others are left to a person.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        By the name of some rows, as :func:`reaugkd.measures.selective.coverage_table` gives it; the rows that the
        threshold was chosen on first. Where fewer than ten rows are answered, nothing is drawn.
    threshold : Threshold, optional
        Marked on each line; its effect on the last one is the title.

    Returns
    -------
    Figure
        A line for each table.
    """
    drawn = {escaped(name): table[table["rows"] >= min(FEWEST_ANSWERED, len(table))] for name, table in tables.items()}
    lines = {
        name: ((100 * table["share"]).tolist(), (100 * table["accuracy"]).tolist()) for name, table in drawn.items()
    }
    title = "The fewer are answered, the more of them should be right"
    figure = lines_figure(lines, "answered, percent of the rows", "right of these, percent", title)
    figure.update_traces(mode="lines", hovertemplate="%{x:.0f} % answered: %{y:.1f} % right")
    least = 0.0 if threshold is None else threshold.least
    for (name, table), colour in zip(tables.items() if threshold else (), PALETTE, strict=False):
        reached = table[table["least"] >= least].tail(1)
        title = f"At the threshold none of the {escaped(name)} are answered"
        for x, y in (100 * reached[["share", "accuracy"]]).to_numpy().tolist():
            mark = {"color": colour, "size": 12, "symbol": "diamond", "line": {"color": TEXT_COLOUR, "width": 1}}
            figure.add_scatter(x=[x], y=[y], mode="markers", marker=mark, showlegend=False, hovertext=escaped(name))
            title = f"At the threshold {x:.0f} % of the {escaped(name)}<br>are answered, {y:.1f} % of these right"
    lowest = min((min(y) for _, y in lines.values() if y), default=0.0)
    figure.update_xaxes(range=[0, 102])
    figure.update_yaxes(range=[max(0.0, lowest - 5), 102])
    return styled(figure, title)


def maps_figure(
    maps: "ProjectionMaps",
    rows: pd.DataFrame,
    colour_by: str = "label",
    *,
    explanation: "Explanation | None" = None,
) -> go.Figure:
    """Draw the teacher's and the student's space side by side, with the query and lines to its neighbours.

    Parameters
    ----------
    maps : ProjectionMaps
        Positions of the N memories.
    rows : DataFrame
        N rows with ``text``, for pairs ``text_pair``, ``label`` and the column to colour by.
    colour_by : str
        A column of ``rows``.
    explanation : Explanation, optional
        The query's answer. The query stands where :meth:`ProjectionMaps.star` puts it by the key with the largest part,
        with lines to that key's neighbours.

    Returns
    -------
    Figure
        Two panels with the same axes; of more than 3,000 memories an even part is drawn.
    """
    neighbours = [neighbour.number for neighbour in explanation.neighbours] if explanation else []
    even = np.linspace(0, len(rows) - 1, min(len(rows), MAX_MAP_POINTS)).astype(np.int64)
    drawn = np.unique([*even, *neighbours])
    values = rows[colour_by].astype(str)
    names = sorted(values.unique()) if values.nunique() <= len(PALETTE) else values.value_counts().index.tolist()
    named, rest = names[: len(PALETTE)], f"{len(names) - len(PALETTE)} others"
    groups = values.iloc[drawn].where(values.isin(named), rest)
    others = {rest: OTHER_COLOUR} if rest in groups.values else {}  # the first, so that they lie below
    texts = np.asarray([shortened(row_in_one_line(row)) for row in rows.iloc[drawn].to_dict("records")])
    star = maps.star(explanation.keys_by_part[0]) if explanation else None
    panels = {"Teacher's space (z)": maps.teacher_points, "Student's space (x)": maps.student_points}
    figure = make_subplots(rows=1, cols=2, subplot_titles=list(panels), horizontal_spacing=0.03)
    for column, points in enumerate(panels.values(), start=1):
        add_points(figure, column, points[drawn], groups, others | class_colours(named), texts)
        if star is not None:
            _add_query(figure, column, points[neighbours], star[column - 1])
    both = np.concatenate(list(panels.values()))
    low, high = both.min(axis=0), both.max(axis=0)
    margin = 0.04 * (high - low)
    for axis, update in enumerate((figure.update_xaxes, figure.update_yaxes)):
        ends = [float(low[axis] - margin[axis]), float(high[axis] + margin[axis])]
        update(range=ends, showticklabels=False, zeroline=False, title=f"UMAP {axis + 1}")
    figure.update_yaxes(title=None, col=2)
    legend = {"orientation": "h", "y": -0.1, "yanchor": "top", "title": escaped(colour_by), "itemsizing": "constant"}
    figure.update_layout(height=520, legend=legend)
    shown = f"{len(drawn):,} of {len(rows):,}" if len(drawn) < len(rows) else f"{len(rows):,}"
    return styled(figure, f"{shown} memories in both spaces, one joint layout, coloured by {escaped(colour_by)}")


def _add_query(figure: go.Figure, column: int, ends: NDArray[np.floating], query: NDArray[np.floating]) -> None:
    """Draw a query into a panel, with lines to its neighbours."""
    lines = np.full((len(ends), 3, 2), np.nan)
    lines[:, 0], lines[:, 1] = query, ends
    star = {"symbol": "star", "size": 17, "color": "#E3262E", "line": {"color": "white", "width": 1}}
    to_neighbours = {"line": {"color": TEXT_COLOUR, "width": 1}, "hoverinfo": "skip", "name": "to its neighbours"}
    of_query = {"marker": star, "hovertemplate": "the query<extra></extra>", "name": "the query"}
    place: dict[str, Any] = {"showlegend": column == 1, "row": 1, "col": column}
    figure.add_scatter(
        x=lines[..., 0].ravel(), y=lines[..., 1].ravel(), mode="lines", legendgroup="lines", **to_neighbours, **place
    )
    figure.add_scatter(x=query[:1], y=query[1:], mode="markers", legendgroup="query", **of_query, **place)


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
    titles = ["Training loss", "Score on validation rows"]
    figure = make_subplots(rows=1, cols=2, subplot_titles=titles, horizontal_spacing=0.14)
    colours = dict(zip([*losses, *(stage for stage in scores if stage not in losses)], cycle(PALETTE), strict=False))
    for column, (lines, mode) in enumerate(((losses, "lines"), (scores, "lines+markers")), start=1):
        for stage, points in lines.items():
            x, y = zip(*points, strict=True) if points else ((), ())
            of_stage = {"name": stage, "legendgroup": stage, "line_color": colours[stage], "mode": mode}
            is_first = column == 1 or stage not in losses
            figure.add_scatter(x=x, y=y, showlegend=is_first, **of_stage, row=1, col=column)
    figure.update_xaxes(rangemode="tozero")
    figure.update_xaxes(title="step", col=1)
    figure.update_xaxes(title="epoch", col=2)
    figure.update_yaxes(title="training loss", type="log", col=1)
    figure.update_yaxes(tickformat=".0%", col=2)
    figure.update_layout(height=340)
    return styled(figure, "How each stage learns")


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
    colours = class_colours(pd.Series(epochs.labels).value_counts().index.tolist())
    titles = ["Teacher's embeddings z", f"Student's embeddings x, {_after(last)}"]
    figure = make_subplots(rows=1, cols=2, subplot_titles=titles, shared_yaxes=True, horizontal_spacing=0.03)
    for column, points in enumerate((epochs.teacher_points, epochs.student_points[last]), start=1):
        add_points(figure, column, points, epochs.labels, colours)
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
    return styled(figure, f"Mean distance of x to z: {away[last]:.2f} {_after(last)}{before} {seen}")


def _after(epoch: int) -> str:
    return f"after epoch {epoch}" if epoch else "before the training"


def _add_playing(figure: go.Figure, epochs: "TrainingEpochs", names: list[str]) -> None:
    """Add a frame an epoch, which moves the traces of the second panel alone."""
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
