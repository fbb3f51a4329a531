"""Every figure, as a pure function from data to a Plotly figure; the app and the notebooks draw with the same ones."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from reaugkd.model_card import METHOD_NAMES
from reaugkd.texts import row_in_one_line

if TYPE_CHECKING:  # a page that draws does not wait for torch
    from reaugkd.epochs import TrainingEpochs
    from reaugkd.explanation import Explanation
    from reaugkd.maps import ProjectionMaps

# Colours that colour-blind readers can tell apart (Okabe and Ito 2008), then four more for a tenth class and on.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8F7A00", "#7B61A8", "#A05A2C", "#5F7A61")
OTHER_COLOUR = "#B8BCC4"
STUDENT_COLOUR, MEMORY_COLOUR, ANSWER_COLOUR = "#56B4E9", "#E69F00", "#0072B2"
# One grey that reads on white and on near-black: the figures are transparent and serve light and dark pages.
TEXT_COLOUR = "#767B84"
GRID_COLOUR = "rgba(128, 135, 146, 0.25)"
MAX_BARS = 10
MAX_MAP_POINTS = 3_000


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
    bars = (
        ("answer", heights[2], ANSWER_COLOUR),
        ("memory", heights[1], MEMORY_COLOUR),
        ("student", heights[0], STUDENT_COLOUR),
    )
    for name, values, colour in bars:
        figure.add_bar(
            y=names,
            x=values[order],
            name=name,
            orientation="h",
            marker_color=colour,
            text=[f"{value:.2f}" if value >= 0.005 else "" for value in values[order]],
            textposition="outside",
            textfont_size=11,
            constraintext="none",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.3f}<extra>" + name + "</extra>",
        )
    plot_height = max(180, 51 * len(names))
    legend = {"orientation": "h", "y": -55 / plot_height, "yanchor": "top", "x": 0, "traceorder": "reversed"}
    figure.update_layout(barmode="group", bargap=0.25, height=plot_height + 160, legend=legend)
    figure.update_xaxes(title="probability", range=[0, 1.08], tickvals=[0, 0.25, 0.5, 0.75, 1])
    figure.update_yaxes(title="class", ticksuffix="  ")
    return _styled(figure, _retrieval_effect(explanation), top=70)


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
    values = rows[colour_by].astype(str).map(_shown)
    neighbours = [neighbour.number for neighbour in explanation.neighbours] if explanation else []
    names = _names_by_importance(values, neighbours)
    colours = class_colours(names)
    drawn = np.unique(np.concatenate([_even_part(len(rows)), np.asarray(neighbours, dtype=np.int64)]))
    panels = (("Teacher's space (z)", maps.teacher_points), ("Student's space (x)", maps.student_points))
    figure = make_subplots(rows=1, cols=2, subplot_titles=[title for title, _ in panels], horizontal_spacing=0.03)
    hover = [_short(row_in_one_line(row)) for row in rows.iloc[drawn].to_dict("records")]
    groups = _colour_groups(values.iloc[drawn].tolist(), names)
    for column, (_, points) in enumerate(panels, start=1):
        for name, members in groups.items():
            figure.add_trace(
                go.Scatter(
                    x=points[drawn[members], 0],
                    y=points[drawn[members], 1],
                    mode="markers",
                    name=name,
                    legendgroup=name,
                    showlegend=column == 1,
                    marker={"size": 6, "color": colours.get(name, OTHER_COLOUR), "opacity": 0.75},
                    text=[hover[member] for member in members],
                    hovertemplate="%{text}<extra>%{fullData.name}</extra>",
                ),
                row=1,
                col=column,
            )
        if query_points is not None:
            _add_query(figure, column, points, query_points[column - 1], neighbours)
    both = np.concatenate([maps.teacher_points, maps.student_points])
    margin = 0.04 * np.ptp(both, axis=0)
    for axis, update in ((0, figure.update_xaxes), (1, figure.update_yaxes)):
        low, high = both[:, axis].min() - margin[axis], both[:, axis].max() + margin[axis]
        update(range=[float(low), float(high)], showticklabels=False, zeroline=False, title=f"UMAP {axis + 1}")
    figure.update_yaxes(title=None, col=2)
    figure.update_layout(
        height=520,
        legend={"orientation": "h", "y": -0.1, "yanchor": "top", "title": _shown(colour_by), "itemsizing": "constant"},
    )
    shown = f"{len(drawn):,} of {len(rows):,}" if len(drawn) < len(rows) else f"{len(rows):,}"
    return _styled(
        figure, f"{shown} memories in both spaces, one joint layout, coloured by {_shown(colour_by)}", top=80
    )


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
        line = go.Scatter(x=steps, y=values, mode="lines", line={"color": ANSWER_COLOUR}, name=stage, showlegend=False)
        figure.add_trace(line, row=1, col=column)
    figure.update_xaxes(title="step", rangemode="tozero")
    figure.update_yaxes(rangemode="tozero")
    figure.update_yaxes(title="training loss", col=1)
    figure.update_layout(height=300)
    return _styled(figure, "Training loss by stage", top=80)


def epochs_figure(epochs: "TrainingEpochs", *, playable: bool = True) -> go.Figure:
    """Draw where the watched texts lie for the teacher, and for the student after its last epoch.

    Parameters
    ----------
    epochs : TrainingEpochs
        At least one epoch.
    playable : bool
        Add a button and a slider that show every epoch; a page that draws anew at each epoch needs none.

    Returns
    -------
    Figure
        Two panels on the same axes, coloured by gold label; the title tells the mean distance from x to z.
    """
    last, counts = len(epochs) - 1, pd.Series(epochs.labels).value_counts()
    colours = class_colours(counts.index.tolist())
    titles = ["Teacher's embeddings z", f"Student's embeddings x, {_after(last)}"]
    figure = make_subplots(rows=1, cols=2, subplot_titles=titles, shared_yaxes=True, horizontal_spacing=0.03)
    for column, points in enumerate((epochs.teacher_points, epochs.student_points[last]), start=1):
        for name, colour in colours.items():
            at = points[epochs.labels == name]
            marker = {"size": 6, "color": colour, "opacity": 0.75}
            figure.add_trace(
                go.Scatter(x=at[:, 0], y=at[:, 1], mode="markers", marker=marker, name=_shown(name), legendgroup=name,
                           showlegend=column == 1 and colour != OTHER_COLOUR, hoverinfo="name"),
                row=1, col=column,
            )  # fmt: skip
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
    return _styled(figure, f"Mean distance of x to z: {away[last]:.2f} {_after(last)}{before} {seen}", top=80)


def _after(epoch: int) -> str:
    return f"after epoch {epoch}" if epoch else "before the training"


def _add_playing(figure: go.Figure, epochs: "TrainingEpochs", names: list[str]) -> None:
    """Add a frame an epoch, which moves the traces of the second panel alone."""
    second = list(range(len(names), 2 * len(names)))
    frames, steps = [], []
    at_once: dict[str, Any] = {"mode": "immediate", "frame": {"duration": 0, "redraw": False}}
    for number, points in enumerate(epochs.student_points):
        moved = [points[epochs.labels == name] for name in names]
        data = [go.Scatter(x=at[:, 0], y=at[:, 1]) for at in moved]
        frames.append(go.Frame(name=str(number), data=data, traces=second))
        steps.append({"label": str(number), "method": "animate", "args": [[str(number)], at_once]})
    slow: dict[str, Any] = {"frame": {"duration": 700, "redraw": False}, "transition": {"duration": 400}}
    figure.frames = frames
    figure.update_layout(
        sliders=[{"steps": steps, "active": len(steps) - 1, "currentvalue": {"prefix": "epoch "}, "x": 0.12,
                  "len": 0.88, "y": -0.12}],
        updatemenus=[{"type": "buttons", "x": 0.1, "xanchor": "right", "y": -0.2, "showactive": False,
                      "buttons": [{"label": "Play", "method": "animate", "args": [None, slow]}]}],
        legend={"orientation": "v", "x": 1.01},
    )  # fmt: skip


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
    students = {name: score for name, score in scores.items() if not name.startswith("Teacher")}
    best = max(students, key=lambda name: students[name])
    names = list(scores)[::-1]
    colours = [ANSWER_COLOUR if name == best else OTHER_COLOUR for name in names]
    values = [scores[name] for name in names]
    figure = go.Figure(
        go.Bar(x=values, y=names, orientation="h", marker_color=colours, text=[f"{value:.1f}" for value in values])
    )
    figure.update_layout(height=380)
    figure.update_yaxes(title="method")
    figure.update_xaxes(title=f"{metrics['metric'].replace('_', ' ')} on test, percent", rangemode="tozero")
    return _styled(figure, f"Best student: {best}, {students[best]:.1f} (teacher {scores['Teacher']:.1f})")


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
    bars = [("student", explanation.student_part, STUDENT_COLOUR)]
    bars += [(f"{key.name} key", key.part, MEMORY_COLOUR) for key in explanation.keys]
    if explanation.new_classes_part:
        bars.append(("new classes", explanation.new_classes_part, MEMORY_COLOUR))
    names, values, colours = zip(*reversed([*bars, ("sum", explanation.lead, ANSWER_COLOUR)]), strict=True)
    text = [f"{value:+.2f}" for value in values]
    figure = go.Figure(
        go.Bar(x=values, y=names, orientation="h", marker_color=colours, text=text, textposition="outside",
               cliponaxis=False, hovertemplate="%{y}: %{x:+.3f}<extra></extra>")
    )  # fmt: skip
    unit = "difference of probability" if explanation.pool.kind == "linear" else "log-odds"
    pair = f"“{_shown(explanation.label)}” against “{_shown(explanation.runner_up)}”"
    figure.update_layout(height=160 + 36 * len(names))
    low, high = min(0.0, *values), max(0.0, *values)
    margin = 0.1 * (high - low) or 1.0  # room for the numbers beside the longest bars
    figure.update_xaxes(title=unit, range=[low - margin, high + margin])
    figure.update_yaxes(title="part", ticksuffix="  ")
    return _styled(figure, f"{pair}: {explanation.lead:+.2f}")


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


def _names_by_importance(values: "pd.Series[str]", neighbours: Sequence[int]) -> list[str]:
    """Up to ten names in alphabetical order; of more, those of the neighbours first, then the most frequent."""
    if values.nunique() <= len(PALETTE):
        return sorted(values.unique())
    near = pd.Series(values.iloc[list(neighbours)]).value_counts().index.tolist()
    frequent = [name for name in values.value_counts().index if name not in near]
    return near + frequent


def _colour_groups(values: Sequence[str], names: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Positions of each colour's points, the grey ones first so that they lie below."""
    coloured = names[: len(PALETTE)]
    array = np.asarray(values)
    groups = {name: np.flatnonzero(array == name) for name in coloured}
    others = np.flatnonzero(~np.isin(array, coloured))
    return ({f"{len(names) - len(coloured)} others": others} if len(others) else {}) | groups


def _add_query(
    figure: go.Figure, column: int, points: NDArray[np.floating], query: NDArray[np.floating], neighbours: Sequence[int]
) -> None:
    ends = points[list(neighbours)]
    lines = np.full((len(ends) * 3, 2), np.nan)
    lines[0::3], lines[1::3] = query, ends
    line = {"color": TEXT_COLOUR, "width": 1}
    figure.add_trace(
        go.Scatter(x=lines[:, 0], y=lines[:, 1], mode="lines", line=line, hoverinfo="skip", name="to its neighbours",
                   legendgroup="lines", showlegend=column == 1),
        row=1, col=column,
    )  # fmt: skip
    star = {"symbol": "star", "size": 17, "color": "#E3262E", "line": {"color": "white", "width": 1}}
    figure.add_trace(
        go.Scatter(x=[query[0]], y=[query[1]], mode="markers", marker=star, name="the query", legendgroup="query",
                   showlegend=column == 1, hovertemplate="the query<extra></extra>"),
        row=1, col=column,
    )  # fmt: skip


def _even_part(total: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, total - 1, min(total, MAX_MAP_POINTS)).astype(np.int64))


def _short(text: str, length: int = 90) -> str:
    return _shown(text if len(text) <= length else text[: length - 1] + "…")


def _shown(text: str) -> str:
    """Escape: Plotly reads a few tags wherever it writes a text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _styled(figure: go.Figure, title: str, top: int = 60) -> go.Figure:
    figure.update_layout(
        title={"text": title, "x": 0.01, "xanchor": "left", "font": {"size": 14}},
        font={"color": TEXT_COLOUR, "size": 13, "family": "system-ui, sans-serif"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 10, "r": 20, "t": top, "b": 40},
    )
    axis = {"gridcolor": GRID_COLOUR, "zerolinecolor": GRID_COLOUR, "automargin": True, "title_font_size": 12}
    figure.update_xaxes(axis)
    figure.update_yaxes(axis)
    figure.update_annotations(font_size=12)  # of panels; nothing is larger than the title, which says the finding
    if figure.layout.legend.orientation is None:
        figure.update_layout(legend={"orientation": "h", "y": -0.2, "yanchor": "top", "x": 0})
    return figure


def points_figure(
    points: NDArray[np.floating], colourings: Mapping[str, Sequence[str]], texts: Sequence[str], title: str
) -> go.Figure:
    """Draw one layout several times side by side, each time coloured by something else.

    Parameters
    ----------
    points : (N, 2) float
        Positions, as :func:`reaugkd.maps.joint_umap` gives them.
    colourings : mapping of str to sequence of str
        By the panel's name, the group of each of the N points; a panel of its own for each.
    texts : sequence of str
        What is shown when the pointer rests on a point.
    title : str
        The finding.

    Returns
    -------
    Figure
        A panel for each colouring, and its part of the legend.
    """
    figure = make_subplots(rows=1, cols=len(colourings), subplot_titles=list(colourings), horizontal_spacing=0.03)
    hover = [_short(text) for text in texts]
    for column, (panel, groups) in enumerate(colourings.items(), start=1):
        array = np.asarray(groups)
        for name, colour in class_colours(sorted(set(groups))).items():
            members = np.flatnonzero(array == name)
            figure.add_trace(
                go.Scatter(
                    x=points[members, 0],
                    y=points[members, 1],
                    mode="markers",
                    name=_shown(name),
                    legendgroup=panel,
                    legendgrouptitle_text=panel,
                    marker={"size": 5, "color": colour, "opacity": 0.8},
                    text=[hover[member] for member in members],
                    hovertemplate="%{text}<extra>%{fullData.name}</extra>",
                ),
                row=1,
                col=column,
            )
    figure.update_xaxes(showticklabels=False, zeroline=False, title="UMAP 1")
    figure.update_yaxes(showticklabels=False, zeroline=False)
    figure.update_yaxes(title="UMAP 2", col=1)
    legend = {"orientation": "v", "x": 1.01, "groupclick": "toggleitem", "itemsizing": "constant"}
    figure.update_layout(height=600, legend=legend)
    return _styled(figure, title, top=80)


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
    figure = make_subplots(
        rows=1, cols=len(panels), subplot_titles=list(panels), shared_yaxes=True, horizontal_spacing=0.04
    )
    for column, groups in enumerate(panels.values(), start=1):
        for number, (name, values) in enumerate(groups.items()):
            counts, _ = np.histogram(values, bins=edges)
            figure.add_trace(
                go.Bar(
                    x=(edges[:-1] + edges[1:]) / 2,
                    y=100 * counts / max(len(np.ravel(values)), 1),
                    width=np.diff(edges),
                    name=name,
                    legendgroup=name,
                    showlegend=column == 1,
                    marker={"color": PALETTE[number % len(PALETTE)], "line": {"width": 0}},
                    opacity=0.6,
                ),
                row=1,
                col=column,
            )
    figure.update_layout(barmode="overlay", bargap=0, height=360)
    figure.update_xaxes(title=axis_title)
    figure.update_yaxes(title="percent of the values", col=1)
    return _styled(figure, title, top=80 if len(panels) > 1 else 60)


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
    for number, (name, (x, y)) in enumerate(lines.items()):
        colour = PALETTE[number % len(PALETTE)]
        figure.add_scatter(x=x, y=y, name=name, mode="lines+markers", line={"color": colour}, marker={"size": 5})
    figure.update_layout(height=380, showlegend=True)
    figure.update_xaxes(title=x_title)
    figure.update_yaxes(title=y_title)
    return _styled(figure, title)
