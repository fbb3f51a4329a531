"""Plots of any data in one style, each a pure function from values to a Plotly figure."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

# Colours that colour-blind readers can tell apart (Okabe and Ito 2008), then four more for a tenth class and on.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8F7A00", "#7B61A8", "#A05A2C", "#5F7A61")
OTHER_COLOUR = "#B8BCC4"
# Who speaks in an answer, on every page and in figures: none has the colour of a class.
VOICE_COLOURS = {
    "student": "#3355FF",
    "aligned": "#FF2D87",
    "text": "#A020F0",
    "encoder": "#E5141E",
    "new classes": "#00939E",
    "memory": "#C733A6",
    "teacher": "#12A112",
    "answer": "#767B84",
}
# One grey that reads on white and on near-black: the figures are transparent and serve light and dark pages.
TEXT_COLOUR = "#767B84"
GRID_COLOUR = "rgba(128, 135, 146, 0.25)"
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
    drawn = [go.Scatter(x=x, y=y, name=name, mode="lines+markers", marker_size=5) for name, (x, y) in lines.items()]
    layout = {"height": 380, "showlegend": True, "xaxis_title": x_title, "yaxis_title": y_title}
    return styled(go.Figure(drawn, layout), title)


def condensation_figure(curve: pd.DataFrame) -> go.Figure:
    """Draw what a smaller memory keeps: the log loss over the bytes.

    Parameters
    ----------
    curve : DataFrame
        As :attr:`reaugkd.analysis.condensed.Condensed.curve`.

    Returns
    -------
    Figure
        A line a method with the chosen point in a ring, and lines across for all memories and the student alone.
    """
    (_, alone), (_, whole) = curve[:2].iterrows()
    tried, chosen = curve[2:].sort_values("bytes"), curve[curve["is_chosen"]].iloc[0]
    lines = {str(name): ((of["bytes"] / 1e3).tolist(), of["log_loss"].tolist()) for name, of in tried.groupby("method")}
    kept = "" if np.isnan(chosen["gain_kept"]) else f" keep {100 * chosen['gain_kept']:.0f} % of the gain"
    finding = f"{chosen['bytes'] / 1000:,.0f} of {whole['bytes'] / 1000:,.0f} kB{kept}"
    figure = lines_figure(lines, "kB of memory and keys", "log loss on validation rows", finding)
    ring = {"size": 14, "symbol": "circle-open", "color": TEXT_COLOUR}
    figure.add_scatter(x=[chosen["bytes"] / 1000], y=[chosen["log_loss"]], mode="markers", marker=ring, name="chosen")
    for name, row, dash in (("all memories", whole, "dash"), ("student alone", alone, "dot")):
        ends = [tried["bytes"].min() / 1000, whole["bytes"] / 1000]
        line = {"color": TEXT_COLOUR, "dash": dash}
        figure.add_scatter(x=ends, y=[row["log_loss"]] * 2, name=name, mode="lines", line=line)
    ticks = [digit * 10**power for power in range(7) for digit in (1, 3)]
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{tick:,}" for tick in ticks])
    return figure.update_layout(height=340, legend={"orientation": "h", "y": -0.35, "yanchor": "top", "x": 0})


def intervals_figure(
    points: Mapping[int, tuple[float, float, float]], x_title: str, y_title: str, title: str
) -> go.Figure:
    """Draw a share that grows, with the band of its intervals.

    Parameters
    ----------
    points : mapping of int to (mean, low, high)
        By the place on the first axis, a share and the ends of its interval; they are drawn in points of a hundred.
    x_title, y_title : str
        What the axes are.
    title : str
        The finding.

    Returns
    -------
    Figure
        A line with a mark at each point, over the band, and a line at zero.
    """
    x = list(points)
    means, lows, highs = 100 * np.asarray(list(points.values())).T
    band = {"mode": "lines", "line_width": 0, "showlegend": False, "hoverinfo": "skip"}
    figure = go.Figure()
    figure.add_scatter(x=x, y=highs, **band)
    figure.add_scatter(x=x, y=lows, **band, fill="tonexty", fillcolor="rgba(0, 114, 178, 0.18)")
    hover = "%{x}: %{y:+.1f}<extra></extra>"
    line = {"mode": "lines+markers", "line_color": PALETTE[0], "showlegend": False, "hovertemplate": hover}
    figure.add_scatter(x=x, y=means, **line)
    figure.add_hline(y=0, line={"color": TEXT_COLOUR, "width": 1, "dash": "dot"})
    figure.update_layout(height=260, xaxis_title=x_title, yaxis_title=y_title)
    figure.update_xaxes(rangemode="tozero", dtick=1 if len(x) < 12 else None)
    return styled(figure, title)


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
    drawn = [go.Bar(x=[*of], y=[*of.values()], name=name, texttemplate="%{y:.3~g}") for name, of in groups.items()]
    layout = {"barmode": "group", "bargap": 0.3, "height": 380, "yaxis_title": value_title}
    return styled(go.Figure(drawn, layout | {"showlegend": len(groups) > 1}), title)


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
    looks = {"mode": "lines+markers+text" if joined else "markers+text", "marker_size": 9, "textposition": "top center"}
    drawn = [go.Scatter(x=x, y=y, text=names, name=name, **looks) for name, (x, y, names) in groups.items()]
    layout = {"height": 420, "showlegend": len(groups) > 1, "xaxis_title": x_title, "yaxis_title": y_title}
    return styled(go.Figure(drawn, layout), title)


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
    figure = make_subplots(1, len(panels), subplot_titles=list(panels), shared_yaxes=True, horizontal_spacing=0.04)
    for column, groups in enumerate(panels.values(), start=1):
        for (name, values), colour in zip(groups.items(), cycle(PALETTE), strict=False):
            shares = 100 * np.histogram(values, bins=edges)[0] / max(values.size, 1)
            group = {"name": name, "legendgroup": name, "showlegend": column == 1, "marker_color": colour}
            figure.add_bar(x=(edges[:-1] + edges[1:]) / 2, y=shares, **group, row=1, col=column)
    figure.update_traces(width=np.diff(edges), marker_line_width=0, opacity=0.6)
    figure.update_layout(barmode="overlay", bargap=0, height=360)
    figure.update_xaxes(title=axis_title)
    figure.update_yaxes(title="percent of the values", col=1)
    return styled(figure, title)


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
    hover = np.asarray([shortened(text) for text in texts])
    for column, (panel, groups) in enumerate(colourings.items(), start=1):
        add_points(figure, column, points, groups, class_colours(sorted(set(groups))), hover)
        of_panel = {"legendgroup": panel, "legendgrouptitle_text": panel, "showlegend": True}
        figure.update_traces(**of_panel, marker={"size": 5, "opacity": 0.8}, col=column)
    figure.update_xaxes(showticklabels=False, zeroline=False, title=f"{layout} 1")
    figure.update_yaxes(showticklabels=False, zeroline=False)
    figure.update_yaxes(title=f"{layout} 2", col=1)
    legend = {"orientation": "v", "x": 1.01, "groupclick": "toggleitem", "itemsizing": "constant", "font_size": 11}
    legend |= {"tracegroupgap": 4, "maxheight": 600}  # of two panels with ten groups each, nothing is cut
    figure.update_layout(height=600, legend=legend)
    return styled(figure, title)


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
    figure = make_subplots(1, len(panels), subplot_titles=list(panels), shared_yaxes=True, horizontal_spacing=0.06)
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
    return styled(figure, title)


def _group_middles(names: Sequence[str]) -> Sequence[float]:
    """Return the middle place of each name, for a name that stands in several places that touch."""
    return pd.Series(range(len(names))).groupby(list(names), sort=False).mean().tolist()


def add_points(
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
        looks = {"mode": "markers", "marker": {"size": 6, "color": colour, "opacity": 0.75}}
        group = {"name": escaped(name), "legendgroup": escaped(name), "showlegend": column == 1}
        figure.add_scatter(x=points[at, 0], y=points[at, 1], **looks, **group, **hover, row=1, col=column)


def shortened(text: str) -> str:
    """Cut a text for the pointer, and escape it."""
    return escaped(text if len(text) <= SHORT else text[: SHORT - 1] + "…")


def escaped(text: str) -> str:
    """Escape: Plotly reads a few tags wherever it writes a text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def styled(figure: go.Figure, title: str) -> go.Figure:
    """Give a figure the style of all: transparent, so that it serves light and dark pages, with its finding on top."""
    top = 80 if figure.layout.annotations else 70 if "<br>" in title else 60  # titles of panels, or a second line
    axis = {"gridcolor": GRID_COLOUR, "zerolinecolor": GRID_COLOUR, "automargin": True, "title_font_size": 12}
    figure.update_layout(
        title={"text": title, "x": 0.01, "xanchor": "left", "font": {"size": 14}},
        font={"color": TEXT_COLOUR, "size": 13, "family": "system-ui, sans-serif"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        colorway=PALETTE,
        margin={"l": 10, "r": 20, "t": top, "b": 40},
    )
    figure.update_xaxes(axis)
    figure.update_yaxes(axis)
    figure.update_annotations(font_size=12)  # of panels; nothing is larger than the title, which states the finding
    if figure.layout.legend.orientation is None:
        figure.update_layout(legend={"orientation": "h", "y": -0.2, "yanchor": "top", "x": 0})
    return figure
