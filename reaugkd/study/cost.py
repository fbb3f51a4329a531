"""Accuracy against latency: students of several depths, with keys and without."""

import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go

from reaugkd.plots.charts import PALETTE
from reaugkd.study.plan import Study

LATENCY_FILE = "latency.csv"
SHOWN = {"off": "student alone", "pool": "with the free keys"}
TEACHER = "the teacher"


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


def cost_figure(table: pd.DataFrame) -> go.Figure:
    """Draw accuracy over latency, a line a way, a panel for each size of a batch; the title states the gain."""
    shown = table.assign(way=table["answer"].map(_way_in_words), depth=table["layers"].astype(int).astype(str))
    shown["panel"] = shown["batch"].map(lambda size: "one text" if size == 1 else f"{size} texts at once")
    shallow = table[(table["answer"] == "pool") & (table["layers"] <= 3)]
    title = (
        f"The free keys gain {shallow['gain'].mean():+.1f} points at equal latency, up to 3 layers"
        "<br><sub>mean accuracy over the tasks; the number at a point is its layers; 2 cores</sub>"
    )
    figure = px.line(
        shown.sort_values(["batch", "milliseconds"]),
        x="milliseconds",
        y="score",
        color="way",
        text="depth",
        facet_col="panel",
        markers=True,
        log_x=True,
        labels={"milliseconds": "milliseconds", "score": "accuracy, %", "way": ""},
        color_discrete_sequence=PALETTE,
        template="plotly_white",
    )
    figure.for_each_annotation(lambda panel: panel.update(text=panel.text.partition("=")[2], font_size=14))
    figure.update_traces(textposition="top left", marker_size=8)
    figure.update_xaxes(matches=None, tickvals=[2, 5, 10, 20, 50, 100, 200, 500, 1_000])
    return figure.update_layout(
        title={"text": title, "x": 0.01, "font": {"size": 18}},
        width=1_000,
        height=480,
        margin={"t": 110},
        legend={"orientation": "h", "y": -0.2},
    )


def _way_in_words(answer: str) -> str:
    """Name a way to answer of the study, or else a teacher by its encoder."""
    _, is_encoder, layers = answer.partition("pool+encoder")
    return f"with {layers} untuned layers too" if is_encoder else SHOWN.get(answer, TEACHER)
