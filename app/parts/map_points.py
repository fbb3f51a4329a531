"""What the maps show: a point for each memory and each row of an evaluation set, and the colours of the points."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from reaugkd.analysis.edits import ADDED, EDITED
from reaugkd.analysis.error_analysis import VOICES
from reaugkd.errors import ReAugKDError
from reaugkd.method.answers import Answers
from reaugkd.method.memory import LABELLED_BY, TEACHER, Memory
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.model.maps import ProjectionMaps
from reaugkd.plots.charts import OTHER_COLOUR, PALETTE
from reaugkd.texts import texts_of

KINDS = ("memory", "test row")
# What is found out of a point; a further column of such a name would be taken for it.
FOUND = ["teacher", "teacher_probability", "student", "student_probability", "memory", "answer", "probability"]
FOUND += ["effect", "moved"]
# From light to dark, evenly bright steps, which the colour-blind can distinguish too.
STEPS = ("#FDE725", "#8FD744", "#35B779", "#21908C", "#31688E", "#443A83", "#440154")
# What has a colour by its meaning, wherever it stands, and the name that a legend gives it.
FIXED, BROKEN = "#009E73", "#D6293A"
MEANINGS = {"fixed": ("fixed", FIXED), "broken": ("broken", BROKEN), "changed": ("wrong in another way", "#E69F00")}
MEANINGS |= {"none": ("unchanged", "#7D838C"), "right": ("right", FIXED), "wrong": ("wrong", BROKEN)}
MEANT = ("effect", *(f"{voice}_error" for voice in VOICES))
MOST_NAMES = 200
MEASURED_ROWS = 2_000
NOT_KNOWN = "not known"


@dataclass(frozen=True)
class MapPoints:
    """P points: the memories in their order, then the test rows that the model carries.

    Parameters
    ----------
    rows : DataFrame
        P rows: ``kind``, one of :data:`KINDS`; ``number`` in the memory or among the test rows; ``id``, ``text``,
        ``label``; what ``teacher``, ``student``, ``memory`` and ``answer`` say where that is known, and whether it is
        ``right`` or ``wrong`` by a gold label; ``moved``, 1 - cos(x_i, z_i) of a memory; ``labelled_by``, ``gold`` or
        ``teacher``, where the teacher labelled some; further columns. What is not known of a point is missing.
    places : (P, 2, 2) float32
        Position of each among the teacher's embeddings and among the student's.
    is_guessed : (P,) bool
        Whether the teacher's embedding of a point is not known. It then lies among the teacher's at the place of the
        memories that its x is nearest to.
    classes : tuple of str
        The model's classes in their order, which sets the colour of each in every column: that of an answer's bars.
    """

    rows: pd.DataFrame
    places: NDArray[np.float32]
    is_guessed: NDArray[np.bool_]
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PointColours:
    """How the points are coloured by a column.

    Parameters
    ----------
    codes : (P,) uint8
        Number of each point's colour.
    legend : list of (str, str)
        Name and colour, ``#RRGGBB``, by code; the last is that of all other values and of points without one.
    """

    codes: NDArray[np.uint8]
    legend: list[tuple[str, str]]


def map_points(
    model: ReAugKDClassifier, answers: Answers | None = None, student_probabilities: NDArray[np.floating] | None = None
) -> MapPoints:
    """Gather the points of a model's maps; what is said of them is missing where no answers to the test rows come."""
    maps, memory = model.maps, model.memory
    if maps is None:
        raise ReAugKDError("This model was saved without maps; train it again with maps to see them.")
    names = model.classes_
    stored = memory.rows.drop(columns=FOUND, errors="ignore").assign(kind=KINDS[0])
    is_taught = not model.settings.is_adopted
    if is_taught:
        stored["teacher"] = names[memory.soft_labels.argmax(axis=1)]
        stored["teacher_probability"] = memory.soft_labels.max(axis=1)
    if is_taught and maps.student_embeddings.shape == memory.teacher_embeddings.shape:
        stored["moved"] = 1 - (maps.student_embeddings * memory.teacher_embeddings).sum(axis=1)
    if student_probabilities is not None:
        stored["student"] = names[student_probabilities.argmax(axis=1)]
        stored["student_probability"] = student_probabilities.max(axis=1)
    tables, places = [stored], [maps.points]
    is_guessed = [(memory.rows[EDITED] == ADDED).to_numpy() if EDITED in memory.rows else np.zeros(len(memory), bool)]
    if model.evaluation_rows is not None:
        held = model.held_out(["test"]).drop(columns=FOUND, errors="ignore")
        held = held if answers is None else answers.table().drop(columns="moved", errors="ignore")
        at, guessed = _test_places(model, maps, model.evaluation_rows, answers)
        tables.append(held.assign(kind=KINDS[1]))
        places.append(at)
        is_guessed.append(guessed)
    rows = pd.concat([table.assign(number=np.arange(len(table))) for table in tables], ignore_index=True)
    is_gold = pd.Series(True, index=rows.index)
    if LABELLED_BY in rows:
        is_gold = rows[LABELLED_BY] != TEACHER
        rows[LABELLED_BY] = np.where(is_gold, "gold", TEACHER)
    for voice in VOICES:
        if voice in rows:
            error = (rows[voice] != rows["label"]).map({True: "wrong", False: "right"})
            rows[f"{voice}_error"] = error.where(rows[voice].notna() & is_gold)
    rows = rows.drop(columns="teacher_soft_labels", errors="ignore")
    return MapPoints(rows, np.concatenate(places), np.concatenate(is_guessed), tuple(names.tolist()))


def _test_places(
    model: ReAugKDClassifier, maps: ProjectionMaps, held: pd.DataFrame, answers: Answers | None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return where the test rows lie in both maps, (T, 2, 2), and of which the teacher's embedding is not known."""
    is_test = (held["split"] == "test").to_numpy()
    known = np.full((int(is_test.sum()), 2, 2), np.nan, dtype=np.float32)
    if maps.held_out is not None and len(maps.held_out) == len(held):
        known = maps.held_out[is_test]
    is_missing = np.isnan(known)
    if is_missing.any():
        texts = texts_of(held[is_test], model.settings.is_pair)
        x = model.student.embed(texts) if answers is None else answers.encoded.embeddings
        known = np.where(is_missing, maps.place(x, model.memory), known)
    return known, np.asarray(is_missing.any(axis=(1, 2)))


def colour_columns(points: MapPoints) -> list[str]:
    """Name the columns by which the points can be coloured, the label first."""
    own = ("kind", "number", "id", "split", "text", "text_pair", "label")
    return ["label", *(str(name) for name in points.rows.columns if name not in own), "kind"]


def point_colours(points: MapPoints, column: str) -> PointColours:
    """Colour the points by a column: names by a palette of ten, numbers by seven steps of even size."""
    if column not in points.rows:
        raise ReAugKDError(f"There is no column {column!r} to colour by; choose one of {colour_columns(points)}.")
    values = points.rows[column]
    if pd.api.types.is_float_dtype(values):
        return _steps(values)
    names = values.dropna().astype(str)
    present = set(names)
    if column in MEANT:
        named = {name: meaning for name, meaning in MEANINGS.items() if name in present}
    elif len(points.classes) <= len(PALETTE) and present <= set(points.classes):
        named = {name: (name, colour) for name, colour in zip(points.classes, PALETTE, strict=False) if name in present}
    else:
        frequent = names.value_counts().index[: len(PALETTE)].tolist()
        shown = sorted(frequent) if len(present) <= len(PALETTE) else frequent
        named = {name: (name, colour) for name, colour in zip(shown, PALETTE, strict=False)}
    codes = pd.Index(list(named)).get_indexer(pd.Index(names.reindex(values.index)))
    other = NOT_KNOWN
    if len(present) > len(named):
        other = f"other or {NOT_KNOWN}" if values.isna().any() else "other"
    legend = [*named.values(), (other, OTHER_COLOUR)]
    return PointColours(np.where(codes < 0, len(named), codes).astype(np.uint8), legend)


def island_names(points: MapPoints, column: str) -> tuple[NDArray[np.uint16], list[str]]:
    """Return what is written at the islands of points, as a number of each point and the names by number.

    These are the values of a column that has names, else the labels; a point without one has a number beyond the names.
    """
    values = points.rows[column]
    has_names = not pd.api.types.is_numeric_dtype(values) and values.nunique() <= MOST_NAMES
    if column in ("kind", LABELLED_BY, *MEANT) or not has_names:
        values = points.rows["label"]
    codes, names = pd.factorize(values)
    return np.where(codes < 0, len(names), codes).astype(np.uint16), names.astype(str).tolist()


def _steps(values: "pd.Series[float]") -> PointColours:
    """Colour numbers by steps of even size, by one where all are the same."""
    low, high = float(values.min()), float(values.max())
    count = len(STEPS) if high > low else 1
    ends = np.linspace(low, high, count + 1)
    steps = np.clip(np.searchsorted(ends, values.fillna(low), side="right") - 1, 0, count - 1)
    digits = int(max(2, np.ceil(-np.log10((high - low) / count)))) if high > low else 2  # no two ends look the same
    names = [f"{start:.{digits}f} to {end:.{digits}f}" for start, end in pairwise(ends)]
    legend = [*zip(names, STEPS, strict=False), (NOT_KNOWN, OTHER_COLOUR)]
    return PointColours(np.where(values.isna(), count, steps).astype(np.uint8), legend)


def most_moved(points: MapPoints, count: int) -> list[int]:
    """Return the memories whose x_i lies farthest from their z_i by cosine, the farthest first; none if not known."""
    if "moved" not in points.rows:
        return []
    return [int(number) for number in points.rows["moved"].dropna().nlargest(count).index]


def map_overlap(model: ReAugKDClassifier, k: int = 10) -> dict[str, float]:
    """Say what the maps are worth: the mean share of a point's k nearest that are its k nearest on the map too."""
    maps, memory = model.maps, model.memory
    if maps is None or len(memory) <= k:
        return {}
    rows = np.unique(np.linspace(0, len(memory) - 1, min(len(memory), MEASURED_ROWS)).astype(np.int64))
    spaces = {"teacher": memory.teacher_embeddings, "student": maps.student_embeddings}
    overlap = {}
    for number, (name, space) in enumerate(spaces.items()):
        near = zip(_near(space, rows, k), _near(maps.points[:, number], rows, k), strict=True)
        overlap[name] = float(np.mean([np.isin(one, other).mean() for one, other in near]))
    return overlap


def _near(space: NDArray[np.floating], rows: NDArray[np.int64], k: int) -> list[NDArray[np.int64]]:
    """Return the numbers (k,) of the nearest others of some rows."""
    found = NearestNeighbors(n_neighbors=k + 1).fit(space).kneighbors(space[rows], return_distance=False)
    return [near[near != row][:k] for row, near in zip(rows, found, strict=True)]


def nearest_memories(
    memory: Memory, embedding: NDArray[np.floating], k: int, besides: int | None = None
) -> list[tuple[int, float]]:
    """Return the memories nearest to an embedding (d,) in full space with their cosines, without the one it is of."""
    similarities, numbers = memory.search(TEACHER, embedding[None], k + 1)
    found = zip(numbers[0].tolist(), similarities[0].tolist(), strict=True)
    return [near for near in found if near[0] != besides][:k]
