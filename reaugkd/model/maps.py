"""Teacher's and student's space drawn in one plane: by one UMAP, and after each epoch on two axes that stay."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from reaugkd.files import column_matrix, matrix_column, whole_file
from reaugkd.method.answers import Answers
from reaugkd.method.memory import TEACHER, Memory
from reaugkd.method.pool import neighbour_weights
from reaugkd.networks.encoders import normalize

if TYPE_CHECKING:
    from reaugkd.model.explanation import KeyPart

PLACING_NEIGHBOURS = 8
PLACING_TEMPERATURE = 0.02
WATCHED_ROWS = 300
FAR_PERCENTILE = 1.0  # a query is far where fewer held-out rows than this percentage have their nearest so far


@dataclass(frozen=True)
class ProjectionMaps:
    """Where each memory lies in the two maps, and each held-out row.

    Parameters
    ----------
    points : (N, 2, 2) float32
        Position of each memory in the teacher's map, that of z_i, and in the student's, that of x_i, in the same plane.
    student_embeddings : (N, d) float32
        x_i, by which a text without a place of its own is placed in the student's map.
    held_out : (H, 2, 2) float32 or None
        Position of each row of the model's ``evaluation_rows`` in the teacher's map and in the student's, each by the
        row's own embedding. None in a model that was saved before they were kept.
    """

    points: NDArray[np.float32]
    student_embeddings: NDArray[np.float32]
    held_out: NDArray[np.float32] | None = None

    def star(self, key: "KeyPart") -> NDArray[np.float32]:
        """Place a query by what one key found: at the mean of its neighbours' places, each with its weight in the vote.

        Parameters
        ----------
        key : KeyPart
            Of the query's explanation, such as ``explanation.keys_by_part[0]``.

        Returns
        -------
        (2, 2) float32
            Position in the teacher's map and in the student's.
        """
        numbers = [neighbour.number for neighbour in key.neighbours]
        weights = np.asarray([neighbour.weight for neighbour in key.neighbours])
        return np.tensordot(weights / weights.sum(), self.points[numbers], axes=1).astype(np.float32)

    def place(self, embeddings: NDArray[np.floating], memory: Memory) -> NDArray[np.float32]:
        """Place texts that have no place of their own, by the 8 memories whose z_i, and whose x_i, is nearest to x.

        Parameters
        ----------
        embeddings : (M, d) float
            The student's embeddings x of M texts; umap is not needed.
        memory : Memory
            The memories that the maps show.

        Returns
        -------
        (M, 2, 2) float32
            Position in the teacher's map and in the student's.
        """
        queries = normalize(embeddings)
        k = min(PLACING_NEIGHBOURS, len(memory))
        similarities, numbers = memory.search(TEACHER, queries, k)
        in_student_space, nearest = faiss.knn(queries, self.student_embeddings, k, faiss.METRIC_INNER_PRODUCT)
        places = ((similarities, self.points[numbers, 0]), (in_student_space, self.points[nearest, 1]))
        placed = [(neighbour_weights(near, PLACING_TEMPERATURE)[:, None, :] @ at)[:, 0] for near, at in places]
        return np.stack(placed, axis=1).astype(np.float32)

    def of_rows(self, kept: NDArray[np.integer], memory: Memory, added: NDArray[np.float32]) -> "ProjectionMaps":
        """Return the maps of another memory; an added row lies where a query of the same text would.

        Parameters
        ----------
        kept : (K,) int64
            Row numbers of those that stay, in their new order.
        memory : Memory
            The memories that these maps show.
        added : (A, d) float32
            The student's embeddings x of the rows that come after them.
        """
        points = np.concatenate([self.points[kept], self.place(added, memory)])
        return ProjectionMaps(points, np.concatenate([self.student_embeddings[kept], added]), self.held_out)


def far_below(answers: Answers) -> dict[str, float]:
    """Return the similarity below which a query is far from all memories, by each key.

    Parameters
    ----------
    answers : Answers
        To held-out rows; take validation rows, since test rows choose nothing.

    Returns
    -------
    dict of str to float
        By the key's name, the first percentile of the rows' similarity to their nearest memory.

    Examples
    --------
    >>> limits = far_below(model.answer(model.encode_rows(model.held_out(["validation"]))))
    >>> nearest = model.explain("some iron and zinc").keys[0].neighbours[0]
    >>> nearest.similarity < limits["aligned"]
    False
    """
    return {name: float(np.percentile(of.similarities[:, 0], FAR_PERCENTILE)) for name, of in answers.retrieved.items()}


def fit_maps(
    teacher_embeddings: NDArray[np.float32],
    student_embeddings: NDArray[np.float32],
    held_out: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
    *,
    seed: int = 0,
) -> ProjectionMaps:
    """Fit one UMAP to both spaces together (McInnes et al. 2018, cosine distance), each row at its own embedding.

    Parameters
    ----------
    teacher_embeddings : (N, d) float32
        z_i of the memories.
    student_embeddings : (N, d) float32
        x_i of the same texts.
    held_out : tuple of two (H, d) float32, optional
        z and x of the model's held-out rows.
    seed : int
        Seed of the layout.

    Returns
    -------
    ProjectionMaps
        Positions of all rows in both.

    Examples
    --------
    >>> maps = fit_maps(memory.teacher_embeddings, student.embed(task.texts("train")))
    >>> maps.points.shape == (len(memory), 2, 2)
    True
    """
    none = np.empty((0, teacher_embeddings.shape[1]), dtype=np.float32)
    z, x = held_out or (none, none)
    teacher_points, student_points, of_z, of_x = joint_umap([teacher_embeddings, student_embeddings, z, x], seed)
    places = np.stack([of_z, of_x], axis=1) if held_out else None
    return ProjectionMaps(np.stack([teacher_points, student_points], axis=1), normalize(student_embeddings), places)


def joint_umap(spaces: list[NDArray[np.float32]], seed: int = 0) -> list[NDArray[np.float32]]:
    """Lay out several spaces of the same width in one plane.

    Parameters
    ----------
    spaces : list of (N_s, d) float32
        Embeddings; an array that is there twice is laid out once.
    seed : int
        Seed of the layout.

    Returns
    -------
    list of (N_s, 2) float32
        Positions, one array for each space.
    """
    from umap import UMAP  # takes many seconds to import, and only a fit needs it

    own = {id(space): space for space in spaces}
    stacked = normalize(np.concatenate(list(own.values())))
    # Many neighbours and a wide distance give islands an area, on which points can be told apart.
    neighbours = min(50, max(15, len(stacked) // 30), len(stacked) - 1)
    start = "pca" if len(stacked) > 10 and np.ptp(stacked, axis=0).any() else "random"
    looks: dict[str, Any] = {"n_neighbors": neighbours, "min_dist": 0.9, "init": start, "n_epochs": 200}
    points = _turned(UMAP(metric="cosine", random_state=seed, n_jobs=1, **looks).fit_transform(stacked))
    places = np.split(points, np.cumsum([len(space) for space in own.values()])[:-1])
    return [dict(zip(own, places, strict=True))[id(space)] for space in spaces]


def _turned(points: NDArray[np.floating]) -> NDArray[np.float32]:
    """Turn a layout (N, 2) so that it is widest from left to right, as screens are."""
    centred = points - points.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    return (centred @ axes[:, ::-1]).astype(np.float32)


@dataclass(frozen=True)
class TrainingEpochs:
    """Where watched texts lay after each epoch, on the two principal axes of the teacher's embeddings.

    The axes are linear and fixed, so a point moves only where its embedding moves.

    Parameters
    ----------
    rows : (S,) int64
        The watched memories, as row numbers.
    labels : (S,) str
        Their gold labels.
    teacher_points : (S, 2) float32
        z_i on the axes.
    student_points : (E, S, 2) float32
        x_i before the training and after each epoch.
    explained : float
        Share of the variance of the z_i that the two axes show, 0 to 1.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.str_]
    teacher_points: NDArray[np.float32]
    student_points: NDArray[np.float32]
    explained: float

    def __len__(self) -> int:
        return len(self.student_points)

    def of_rows(self, kept: NDArray[np.integer]) -> "TrainingEpochs | None":
        """Return what is left when only these rows of the memory, (M,), are kept in this order; None if nothing is."""
        _, rows, left = np.intersect1d(kept, self.rows, return_indices=True)
        if not len(left):
            return None
        teacher_points, student_points = self.teacher_points[left], self.student_points[:, left]
        return TrainingEpochs(rows, self.labels[left], teacher_points, student_points, self.explained)

    def save(self, path: str | Path) -> None:
        """Write a Parquet file with one row for each watched text and one column of positions for each epoch."""
        columns = {f"epoch_{number}": matrix_column(points) for number, points in enumerate(self.student_points)}
        about = {"row": self.rows, "label": self.labels.tolist(), "teacher": matrix_column(self.teacher_points)}
        table = pa.table({**about, **columns})
        with whole_file(path) as writing:
            pq.write_table(table.replace_schema_metadata({"explained": repr(self.explained)}), writing)

    @classmethod
    def load(cls, path: str | Path) -> "TrainingEpochs":
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        path : str or Path
            The file.

        Returns
        -------
        TrainingEpochs
            What it holds.
        """
        table = pq.read_table(path)
        points = [column_matrix(table[f"epoch_{number}"]) for number in range(table.num_columns - 3)]
        explained = float(table.schema.metadata[b"explained"])
        labels = np.asarray(table["label"].to_pylist(), dtype=np.str_)
        return cls(table["row"].to_numpy(), labels, column_matrix(table["teacher"]), np.stack(points), explained)


class EpochWatch:
    """Follows some texts through a training.

    Parameters
    ----------
    teacher_embeddings : (N, d) float32
        z_i of all memories; at most 300 of them, evenly drawn, are watched.
    labels : (N,) str
        Gold labels of all memories.

    Examples
    --------
    >>> watch = EpochWatch(memory.teacher_embeddings, memory.rows["label"].to_numpy(dtype=str))
    >>> texts = [task.texts("train")[row] for row in watch.rows]
    >>> epochs = watch.seen(0, student.embed(texts), folder / "epochs.parquet")
    >>> epochs.student_points.shape == (1, len(texts), 2)
    True
    """

    def __init__(self, teacher_embeddings: NDArray[np.float32], labels: NDArray[np.str_]) -> None:
        from sklearn.decomposition import PCA  # takes a second to import, and reading epochs does not need it

        total = len(teacher_embeddings)
        self.rows = np.unique(np.linspace(0, total - 1, min(total, WATCHED_ROWS)).astype(np.int64))
        self.labels = labels[self.rows]
        watched = teacher_embeddings[self.rows]
        self._axes = PCA(n_components=2, svd_solver="full").fit(watched)
        self._teacher_points = self._axes.transform(watched).astype(np.float32)

    def seen(self, epoch: int, student_embeddings: NDArray[np.float32], path: str | Path) -> TrainingEpochs:
        """Add an epoch; one that is seen again, after an interruption, replaces what was seen before.

        Parameters
        ----------
        epoch : int
            0 before the training.
        student_embeddings : (S, d) float32
            x_i of the watched rows.
        path : str or Path
            File that keeps what was seen, for a training that is interrupted and goes on.

        Returns
        -------
        TrainingEpochs
            All epochs so far.
        """
        points = self._axes.transform(student_embeddings).astype(np.float32)[None]
        if epoch and Path(path).is_file():
            points = np.concatenate([TrainingEpochs.load(path).student_points[:epoch], points])
        explained = float(self._axes.explained_variance_ratio_.sum())
        epochs = TrainingEpochs(self.rows, self.labels, self._teacher_points, points, explained)
        epochs.save(path)
        return epochs
