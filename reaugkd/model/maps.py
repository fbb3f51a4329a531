"""Projection maps: teacher's and student's space drawn in one plane, fitted together so that positions compare."""

from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from reaugkd.method.memory import TEACHER, Memory
from reaugkd.method.pool import neighbour_weights
from reaugkd.networks.encoders import normalize

PLACING_NEIGHBOURS = 8
PLACING_TEMPERATURE = 0.02


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
