"""Teacher's and student's space drawn in one plane: by one UMAP, and after each epoch on two axes that stay."""

from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from reaugkd.files import column_matrix, matrix_column, whole_file
from reaugkd.method.memory import TEACHER, Memory
from reaugkd.method.pool import neighbour_weights
from reaugkd.networks.encoders import normalize

PLACING_NEIGHBOURS = 8
PLACING_TEMPERATURE = 0.02
WATCHED_ROWS = 300


@dataclass(frozen=True)
class ProjectionMaps:
    """Where each memory lies in the two maps.

    Parameters
    ----------
    teacher_points : (N, 2) float32
        Position of z_i, the teacher's embedding of memory i.
    student_points : (N, 2) float32
        Position of x_i, the student's embedding of the same text, in the same plane.
    student_embeddings : (N, d) float32
        x_i, by which a query is placed in the student's map.
    """

    teacher_points: NDArray[np.float32]
    student_points: NDArray[np.float32]
    student_embeddings: NDArray[np.float32]

    def place(self, queries: NDArray[np.floating], memory: Memory) -> NDArray[np.float32]:
        """Place queries in both maps, from the coordinates of their nearest memories there; umap is not needed.

        Parameters
        ----------
        queries : (d,) or (M, d) float
            The student's embeddings of one query or of several.
        memory : Memory
            The memories that the maps show.

        Returns
        -------
        (2, 2) or (M, 2, 2) float32
            Position in the teacher's map and in the student's.
        """
        one, queries = queries.ndim == 1, normalize(np.atleast_2d(queries))
        k = min(PLACING_NEIGHBOURS, len(memory))
        similarities, numbers = memory.search(TEACHER, queries, k)
        in_student_space, nearest = faiss.knn(queries, self.student_embeddings, k, faiss.METRIC_INNER_PRODUCT)
        places = ((similarities, self.teacher_points[numbers]), (in_student_space, self.student_points[nearest]))
        placed = [(neighbour_weights(near, PLACING_TEMPERATURE)[:, None, :] @ at)[:, 0] for near, at in places]
        points = np.stack(placed, axis=1).astype(np.float32)
        return points[0] if one else points


def fit_maps(
    teacher_embeddings: NDArray[np.float32], student_embeddings: NDArray[np.float32], seed: int = 0
) -> ProjectionMaps:
    """Fit one UMAP to both spaces together (McInnes et al. 2018, cosine distance).

    Parameters
    ----------
    teacher_embeddings : (N, d) float32
        z_i of the memories.
    student_embeddings : (N, d) float32
        x_i of the same texts.
    seed : int
        Seed of the layout.

    Returns
    -------
    ProjectionMaps
        Positions of all rows in both.

    Examples
    --------
    >>> maps = fit_maps(memory.teacher_embeddings, student.embed(task.texts("train")))
    >>> maps.teacher_points.shape == (len(memory), 2)
    True
    """
    points = joint_umap([teacher_embeddings, student_embeddings], seed)
    return ProjectionMaps(points[0], points[1], normalize(student_embeddings))


def joint_umap(spaces: list[NDArray[np.float32]], seed: int = 0) -> list[NDArray[np.float32]]:
    """Lay out several spaces of the same width in one plane.

    Parameters
    ----------
    spaces : list of (N_s, d) float32
        Embeddings.
    seed : int
        Seed of the layout.

    Returns
    -------
    list of (N_s, 2) float32
        Positions, one array a space.
    """
    from umap import UMAP  # takes many seconds to import: only who fits pays for it

    stacked = normalize(np.concatenate(spaces))
    neighbours = min(15, len(stacked) - 1)
    # UMAP's spectral start needs more points than dimensions; a handful starts at random.
    start = "spectral" if len(stacked) > 10 else "random"
    layout = UMAP(n_neighbors=neighbours, min_dist=0.1, metric="cosine", init=start, random_state=seed, n_jobs=1)
    points = layout.fit_transform(stacked).astype(np.float32)
    return np.split(points, np.cumsum([len(space) for space in spaces])[:-1])


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

    def of_rows(self, kept: NDArray[np.integer]) -> "TrainingEpochs":
        """Return what is left when only these rows of the memory, as row numbers (M,), are kept in this order."""
        _, rows, left = np.intersect1d(kept, self.rows, return_indices=True)
        teacher_points, student_points = self.teacher_points[left], self.student_points[:, left]
        return TrainingEpochs(rows, self.labels[left], teacher_points, student_points, self.explained)

    def save(self, path: str | Path) -> None:
        """Write a Parquet file: a row a watched text, a column of positions an epoch."""
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
        from sklearn.decomposition import PCA  # a second to import: who only reads epochs does not wait for it

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
