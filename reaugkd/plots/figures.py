"""Every figure, as a pure function from data to a Plotly figure; the app and the notebooks draw with the same ones."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from reaugkd.model.card import METHOD_NAMES
from reaugkd.texts import row_in_one_line

if TYPE_CHECKING:  # a page that draws does not wait for torch
    from reaugkd.model.explanation import Explanation
    from reaugkd.model.maps import ProjectionMaps, TrainingEpochs

# Colours that colour-blind readers can tell apart (Okabe and Ito 2008), then four more for a tenth class and on.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8F7A00", "#7B61A8", "#A05A2C", "#5F7A61")
OTHER_COLOUR = "#B8BCC4"
STUDENT_COLOUR, MEMORY_COLOUR, ANSWER_COLOUR = "#56B4E9", "#E69F00", "#0072B2"
# One grey that reads on white and on near-black: the figures are transparent and serve light and dark pages.
TEXT_COLOUR = "#767B84"
GRID_COLOUR = "rgba(128, 135, 146, 0.25)"
MAX_BARS = 10
MAX_MAP_POINTS = 3_000
SHORT = 90  # characters of a text at the pointer
_CELL = "%{customdata[0]} / %{customdata[1]}: %{z:.3f}<extra></extra>"


def class_colours(names: Sequence[str]) -> dict[str, str]:
    """Give each of up to ten names a colour of its own, and all further ones one grey.

    Parameters
    ----------
    names : sequence of str
        Names of classes or topics, the most important first.

    Returns
    -------
    dict of str to str
        Colours as ``#RRGGBB``.
    """
    return {name: PALETTE[number] if number < len(PALETTE) else OTHER_COLOUR for number, name in enumerate(names)}


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
    names = [_shown(explanation.classes[number]) for number in order]
    figure = go.Figure()
    voices = {"student": STUDENT_COLOUR, "memory": MEMORY_COLOUR, "answer": ANSWER_COLOUR}
    for (name, colour), values in reversed(list(zip(voices.items(), heights, strict=True))):
        shown = [f"{value:.2f}" if value >= 0.005 else "" for value in values[order]]
        hover = "%{y}: %{x:.3f}<extra>" + name + "</extra>"
        style = {"name": name, "textfont_size": 11, "constraintext": "none"}
        _add_bars(figure, names, values[order], shown, colour, hovertemplate=hover, **style)
    plot_height = max(180, 51 * len(names))
    legend = {"orientation": "h", "y": -55 / plot_height, "yanchor": "top", "x": 0, "traceorder": "reversed"}
    figure.update_layout(barmode="group", bargap=0.25, height=plot_height + 160, legend=legend)
    figure.update_xaxes(title="probability", range=[0, 1.08], tickvals=[0, 0.25, 0.5, 0.75, 1])
    figure.update_yaxes(title="class", ticksuffix="  ")
    return _styled(figure, _retrieval_effect(explanation))


def maps_figure(
    maps: "ProjectionMaps",
    rows: pd.DataFrame,
    colour_by: str = "label",
    *,
    explanation: "Explanation | None" = None,
    query_points: NDArray[np.floating] | None = None,
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
        The query's answer, for the lines.
    query_points : (2, 2) float, optional
        The query's position in each map, as :meth:`ProjectionMaps.place` gives it.

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
    texts = np.asarray([_short(row_in_one_line(row)) for row in rows.iloc[drawn].to_dict("records")])
    panels = {"Teacher's space (z)": maps.teacher_points, "Student's space (x)": maps.student_points}
    figure = make_subplots(rows=1, cols=2, subplot_titles=list(panels), horizontal_spacing=0.03)
    for column, points in enumerate(panels.values(), start=1):
        _add_points(figure, column, points[drawn], groups, others | class_colours(named), texts)
        if query_points is not None:
            _add_query(figure, column, points[neighbours], query_points[column - 1])
    both = np.concatenate(list(panels.values()))
    low, high = both.min(axis=0), both.max(axis=0)
    margin = 0.04 * (high - low)
    for axis, update in enumerate((figure.update_xaxes, figure.update_yaxes)):
        ends = [float(low[axis] - margin[axis]), float(high[axis] + margin[axis])]
        update(range=ends, showticklabels=False, zeroline=False, title=f"UMAP {axis + 1}")
    figure.update_yaxes(title=None, col=2)
    legend = {"orientation": "h", "y": -0.1, "yanchor": "top", "title": _shown(colour_by), "itemsizing": "constant"}
    figure.update_layout(height=520, legend=legend)
    shown = f"{len(drawn):,} of {len(rows):,}" if len(drawn) < len(rows) else f"{len(rows):,}"
    return _styled(figure, f"{shown} memories in both spaces, one joint layout, coloured by {_shown(colour_by)}")


def loss_figure(losses: Mapping[str, Sequence[tuple[int, float]]]) -> go.Figure:
    """Draw the training loss of each stage.

    Parameters
    ----------
    losses : mapping of str to sequence of (step, loss)
        By stage, in the order of training.

    Returns
    -------
    Figure
        A panel a stage: their losses are of different kinds and do not compare.
    """
    stages = list(losses) or ["no stage yet"]
    figure = make_subplots(rows=1, cols=len(stages), subplot_titles=stages, horizontal_spacing=0.28 / len(stages))
    for column, stage in enumerate(losses, start=1):
        steps, values = zip(*losses[stage], strict=True) if losses[stage] else ((), ())
        line = {"mode": "lines", "line": {"color": ANSWER_COLOUR}, "name": stage, "showlegend": False}
        figure.add_scatter(x=steps, y=values, **line, row=1, col=column)
    figure.update_xaxes(title="step", rangemode="tozero")
    figure.update_yaxes(rangemode="tozero")
    figure.update_yaxes(title="training loss", col=1)
    figure.update_layout(height=300)
    return _styled(figure, "Training loss by stage")


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
        _add_points(figure, column, points, epochs.labels, colours)
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
    return _styled(figure, f"Mean distance of x to z: {away[last]:.2f} {_after(last)}{before} {seen}")


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
    colours = [ANSWER_COLOUR if name == best else OTHER_COLOUR for name in names]
    bars = go.Bar(x=values, y=names, orientation="h", marker_color=colours, text=[f"{value:.1f}" for value in values])
    figure = go.Figure(bars)
    figure.update_layout(height=380)
    figure.update_yaxes(title="method")
    figure.update_xaxes(title=f"{metrics['metric'].replace('_', ' ')} on test, percent", rangemode="tozero")
    return _styled(figure, f"Best student: {best}, {scores[best]:.1f} (teacher {scores['Teacher']:.1f})")


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
    colours = {"student": STUDENT_COLOUR, "sum": ANSWER_COLOUR}
    names, values = list(parts), list(parts.values())
    figure = go.Figure()
    of_parts = [colours.get(name, MEMORY_COLOUR) for name in names]
    hover = "%{y}: %{x:+.3f}<extra></extra>"
    shown = [f"{round(value, 2) + 0.0:+.2f}" for value in values]  # no -0.00
    _add_bars(figure, names, values, shown, of_parts, hovertemplate=hover)
    unit = "difference of probability" if explanation.pool.kind == "linear" else "log-odds"
    pair = f"“{_shown(explanation.label)}” against “{_shown(explanation.runner_up)}”"
    figure.update_layout(height=160 + 36 * len(names))
    low, high = min(0.0, *values), max(0.0, *values)
    margin = 0.1 * (high - low) or 1.0  # room for the numbers beside the longest bars
    figure.update_xaxes(title=unit, range=[low - margin, high + margin])
    figure.update_yaxes(title="part", ticksuffix="  ")
    return _styled(figure, f"{pair}: {explanation.lead:+.2f}")


def _add_bars(
    figure: go.Figure, names: list[str], values: Any, shown: list[str], colours: str | list[str], **style: Any
) -> None:
    """Add horizontal bars with their numbers beside them."""
    beside = {"text": shown, "textposition": "outside", "cliponaxis": False}
    figure.add_bar(x=values, y=names, orientation="h", marker_color=colours, **beside, **style)


def _retrieval_effect(explanation: "Explanation") -> str:
    alone, answer, memory = (
        f"“{_shown(name)}”" for name in (explanation.student_label, explanation.label, explanation.memory_label)
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


def _add_points(
    figure: go.Figure,
    column: int,
    points: NDArray[np.floating],
    groups: "Sequence[str] | pd.Series[str] | NDArray[np.str_]",
    colours: Mapping[str, str],
    texts: NDArray[np.str_] | None = None,
) -> None:
    """Draw points into a panel, a colour for each group; a text is shown when the pointer rests on its point."""
    for name, colour in colours.items():
        at = np.asarray(groups) == name
        hover: dict[str, Any] = {"hoverinfo": "name"}
        if texts is not None:
            hover = {"text": texts[at], "hovertemplate": "%{text}<extra>%{fullData.name}</extra>"}
        marker = {"size": 6, "color": colour, "opacity": 0.75}
        group = {"name": _shown(name), "legendgroup": _shown(name), "showlegend": column == 1}
        figure.add_scatter(
            x=points[at, 0], y=points[at, 1], mode="markers", marker=marker, **group, **hover, row=1, col=column
        )


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


def _short(text: str) -> str:
    return _shown(text if len(text) <= SHORT else text[: SHORT - 1] + "…")


def _shown(text: str) -> str:
    """Escape: Plotly reads a few tags wherever it writes a text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _styled(figure: go.Figure, title: str) -> go.Figure:
    top = 80 if figure.layout.annotations else 70 if "<br>" in title else 60  # titles of panels, or a second line
    axis = {"gridcolor": GRID_COLOUR, "zerolinecolor": GRID_COLOUR, "automargin": True, "title_font_size": 12}
    figure.update_layout(
        title={"text": title, "x": 0.01, "xanchor": "left", "font": {"size": 14}},
        font={"color": TEXT_COLOUR, "size": 13, "family": "system-ui, sans-serif"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 10, "r": 20, "t": top, "b": 40},
    )
    figure.update_xaxes(axis)
    figure.update_yaxes(axis)
    figure.update_annotations(font_size=12)  # of panels; nothing is larger than the title, which states the finding
    if figure.layout.legend.orientation is None:
        figure.update_layout(legend={"orientation": "h", "y": -0.2, "yanchor": "top", "x": 0})
    return figure


def points_figure(
    points: NDArray[np.floating],
    colourings: Mapping[str, Sequence[str]],
    texts: Sequence[str],
    title: str,
    *,
    layout: str = "UMAP",
) -> go.Figure:
    """Draw one layout several times side by side, each time coloured by something else.

    Parameters
    ----------
    points : (N, 2) float
        Positions, as :func:`reaugkd.model.maps.joint_umap` gives them.
    colourings : mapping of str to sequence of str
        By the panel's name, the group of each of the N points; a panel of its own for each.
    texts : sequence of str
        What is shown when the pointer rests on a point.
    title : str
        The finding.
    layout : str
        By which method the points were laid out, for the names of the axes.

    Returns
    -------
    Figure
        A panel for each colouring, and its part of the legend.
    """
    figure = make_subplots(rows=1, cols=len(colourings), subplot_titles=list(colourings), horizontal_spacing=0.03)
    hover = np.asarray([_short(text) for text in texts])
    for column, (panel, groups) in enumerate(colourings.items(), start=1):
        _add_points(figure, column, points, groups, class_colours(sorted(set(groups))), hover)
        of_panel = {"legendgroup": panel, "legendgrouptitle_text": panel, "showlegend": True}
        figure.update_traces(**of_panel, marker={"size": 5, "opacity": 0.8}, col=column)
    figure.update_xaxes(showticklabels=False, zeroline=False, title=f"{layout} 1")
    figure.update_yaxes(showticklabels=False, zeroline=False)
    figure.update_yaxes(title=f"{layout} 2", col=1)
    legend = {"orientation": "v", "x": 1.01, "groupclick": "toggleitem", "itemsizing": "constant"}
    figure.update_layout(height=600, legend=legend)
    return _styled(figure, title)


def histogram_figure(
    panels: Mapping[str, Mapping[str, NDArray[np.floating]]], axis_title: str, title: str, bins: int = 40
) -> go.Figure:
    """Draw how values are spread, groups over each other, a panel for each situation.

    Parameters
    ----------
    panels : mapping of str to mapping of str to array
        By panel, then by group, the values; all panels share the groups and both axes.
    axis_title : str
        What the values are.
    title : str
        The finding.
    bins : int
        Number of bars between the lowest and the highest value.

    Returns
    -------
    Figure
        Shares of each group's values, in percent.
    """
    every = np.concatenate([np.ravel(values) for groups in panels.values() for values in groups.values()])
    edges = np.linspace(every.min(), every.max(), bins + 1)
    titles = {"subplot_titles": list(panels), "shared_yaxes": True, "horizontal_spacing": 0.04}
    figure = make_subplots(rows=1, cols=len(panels), **titles)
    for column, groups in enumerate(panels.values(), start=1):
        for (name, values), colour in zip(groups.items(), cycle(PALETTE), strict=False):
            figure.add_bar(
                x=(edges[:-1] + edges[1:]) / 2,
                y=100 * np.histogram(values, bins=edges)[0] / max(values.size, 1),
                width=np.diff(edges),
                name=name,
                legendgroup=name,
                showlegend=column == 1,
                marker={"color": colour, "line": {"width": 0}},
                opacity=0.6,
                row=1,
                col=column,
            )
    figure.update_layout(barmode="overlay", bargap=0, height=360)
    figure.update_xaxes(title=axis_title)
    figure.update_yaxes(title="percent of the values", col=1)
    return _styled(figure, title)


def lines_figure(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], x_title: str, y_title: str, title: str
) -> go.Figure:
    """Draw lines over one pair of axes.

    Parameters
    ----------
    lines : mapping of str to (x, y)
        By name, the positions of each line's points.
    x_title, y_title : str
        What the axes are.
    title : str
        The finding.

    Returns
    -------
    Figure
        Lines with a mark at each point.
    """
    figure = go.Figure()
    for (name, (x, y)), colour in zip(lines.items(), cycle(PALETTE), strict=False):
        figure.add_scatter(x=x, y=y, name=name, mode="lines+markers", line={"color": colour}, marker={"size": 5})
    figure.update_layout(height=380, showlegend=True)
    figure.update_xaxes(title=x_title)
    figure.update_yaxes(title=y_title)
    return _styled(figure, title)


def bars_figure(groups: Mapping[str, Mapping[str, float]], value_title: str, title: str) -> go.Figure:
    """Draw a bar for each category, those of several groups beside one another, each with its value.

    Parameters
    ----------
    groups : mapping of str to mapping of str to float
        By group (its colour), then by category, the value.
    value_title : str
        What the values are.
    title : str
        The finding.

    Returns
    -------
    Figure
        Upright bars; a legend where there is more than one group.
    """
    figure = go.Figure()
    for (name, values), colour in zip(groups.items(), cycle(PALETTE), strict=False):
        figure.add_bar(
            x=list(values), y=list(values.values()), name=name, marker_color=colour, texttemplate="%{y:.3~g}"
        )
    figure.update_layout(barmode="group", bargap=0.3, height=380, showlegend=len(groups) > 1)
    figure.update_yaxes(title=value_title)
    return _styled(figure, title)


def scatter_figure(
    groups: Mapping[str, tuple[Sequence[float], Sequence[float], Sequence[str]]],
    x_title: str,
    y_title: str,
    title: str,
    *,
    joined: bool = False,
) -> go.Figure:
    """Draw points with their names beside them.

    Parameters
    ----------
    groups : mapping of str to (x, y, names)
        By group (its colour), the positions of its points and the name of each.
    x_title, y_title : str
        What the axes are.
    title : str
        The finding.
    joined : bool
        Whether a line joins the points of a group.

    Returns
    -------
    Figure
        A mark and a name for each point.
    """
    figure = go.Figure()
    mode = "lines+markers+text" if joined else "markers+text"
    for (name, (x, y, names)), colour in zip(groups.items(), cycle(PALETTE), strict=False):
        marks = {"marker": {"color": colour, "size": 9}, "line_color": colour, "textposition": "top center"}
        figure.add_scatter(x=x, y=y, text=names, name=name, mode=mode, **marks)
    figure.update_layout(height=420, showlegend=len(groups) > 1)
    figure.update_xaxes(title=x_title)
    figure.update_yaxes(title=y_title)
    return _styled(figure, title)


def heatmaps_figure(
    panels: Mapping[str, NDArray[np.floating]],
    row_names: Sequence[str],
    column_names: Sequence[str],
    title: str,
    *,
    value_title: str = "",
) -> go.Figure:
    """Draw matrices side by side, on one scale of colours, so that cells compare across panels.

    Parameters
    ----------
    panels : mapping of str to (R, C) array
        The matrices, by the panel's name.
    row_names : sequence of str
        Names of the R rows; equal names may repeat, as those of rows of one class do.
    column_names : sequence of str
        Names of the C columns.
    title : str
        The finding.
    value_title : str
        What the values are, at the scale.

    Returns
    -------
    Figure
        A panel for each matrix, its first row on top; the pointer shows a cell's value.
    """
    titles = {"subplot_titles": list(panels), "shared_yaxes": True, "horizontal_spacing": 0.06}
    figure = make_subplots(rows=1, cols=len(panels), **titles)
    for column, values in enumerate(panels.values(), start=1):
        names = np.broadcast_to(np.asarray(column_names, dtype=object), np.shape(values))
        rows = np.broadcast_to(np.asarray(row_names, dtype=object)[:, None], np.shape(values))
        hover = {"customdata": np.dstack([rows, names]), "hovertemplate": _CELL}
        figure.add_heatmap(z=values, coloraxis="coloraxis", row=1, col=column, **hover)
    ticks = {"tickmode": "array", "showgrid": False, "zeroline": False}
    figure.update_xaxes(ticks, tickvals=_group_middles(column_names), ticktext=list(dict.fromkeys(column_names)))
    figure.update_yaxes(ticks, tickvals=_group_middles(row_names), ticktext=list(dict.fromkeys(row_names)))
    figure.update_yaxes(autorange="reversed")
    scale = {"colorscale": "Viridis", "colorbar": {"title": {"text": value_title}, "thickness": 12}}
    figure.update_layout(height=420, coloraxis=scale)
    return _styled(figure, title)


def _group_middles(names: Sequence[str]) -> list[float]:
    """Return the middle place of each name, for a name that stands in several places that touch."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    return [sum(of_name) / len(of_name) for of_name in places.values()]
