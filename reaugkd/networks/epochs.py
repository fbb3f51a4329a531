"""How the student's space moves to its teacher's: the same texts after each epoch, on two axes that stay."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from reaugkd.files import whole_file
from reaugkd.tables import column_matrix, matrix_column

WATCHED_ROWS = 300


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
