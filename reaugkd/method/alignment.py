"""How near does the student's space come to the teacher's? Measured on texts that neither was trained on."""

import numpy as np
from numpy.typing import NDArray

from reaugkd.method.memory import TEACHER, Memory
from reaugkd.networks.encoders import normalize


def alignment(
    student_embeddings: NDArray[np.floating],
    teacher_embeddings: NDArray[np.floating],
    memory: Memory,
    k: int = 10,
) -> dict[str, float]:
    """Measure how near the student's embeddings of held-out texts land to the teacher's.

    Parameters
    ----------
    student_embeddings : (N, d) float
        x_i of texts that neither was trained on.
    teacher_embeddings : (N, d) float
        z_i of the same texts.
    memory : Memory
        The memory that both search.
    k : int
        Neighbours to compare.

    Returns
    -------
    dict of str to float
        ``overlap_at_10`` (named after k): mean share of the k nearest memories that both find, 0 to 1.
        ``class_agreement_at_10``: mean overlap of the classes of those memories, 0 to 1. ``cka``: see :func:`cka`.
        ``cosine``: mean of x_i · z_i, -1 to 1. ``within_class_cosine``: see :func:`within_class_cosine`; where it
        is near 1 a class has collapsed to a point, its memories are equally near, and the overlap says little.
    """
    _, by_student = memory.search(TEACHER, student_embeddings, k)
    _, by_teacher = memory.search(TEACHER, teacher_embeddings, k)
    shared = [len(set(mine) & set(theirs)) / len(mine) for mine, theirs in zip(by_student, by_teacher, strict=True)]
    cosines = (normalize(student_embeddings) * normalize(teacher_embeddings)).sum(axis=1)
    names, classes = np.unique(memory.rows["label"], return_inverse=True)
    return {
        f"overlap_at_{k}": float(np.mean(shared)),
        f"class_agreement_at_{k}": class_agreement(classes[by_student], classes[by_teacher], len(names)),
        "cka": cka(student_embeddings, teacher_embeddings),
        "cosine": float(cosines.mean()),
        "within_class_cosine": within_class_cosine(memory),
    }


def class_agreement(
    student_neighbours: NDArray[np.integer], teacher_neighbours: NDArray[np.integer], classes: int
) -> float:
    """Return the mean overlap of the class shares among both lists of neighbours, Σ_c min(a_c, b_c).

    Parameters
    ----------
    student_neighbours, teacher_neighbours : (N, k) int64
        Class numbers of the memories that each finds.
    classes : int
        Number of classes.

    Returns
    -------
    float
        From 0 to 1.
    """
    by_student, by_teacher = (np.eye(classes)[found].mean(axis=1) for found in (student_neighbours, teacher_neighbours))
    return float(np.minimum(by_student, by_teacher).sum(axis=1).mean())


def cka(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    r"""Return the linear centred kernel alignment of two spaces (Kornblith et al. 2019, section 3).

    .. math:: \frac{\|Y^\top X\|_F^2}{\|X^\top X\|_F \, \|Y^\top Y\|_F}

    Parameters
    ----------
    one, other : (N, d) float
        Embeddings of the same texts, columns centred here; the widths may differ.

    Returns
    -------
    float
        From 0 to 1; 1 for spaces that differ by a rotation and a scale.
    """
    x, y = (space.astype(np.float64) - space.mean(axis=0, dtype=np.float64) for space in (one, other))
    scale = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(np.linalg.norm(y.T @ x) ** 2 / scale) if scale else 0.0


def within_class_cosine(memory: Memory) -> float:
    """Return the mean cosine of two memories of one class, averaged over the classes; 1 is a collapsed space.

    Parameters
    ----------
    memory : Memory
        The memory; classes of a single row do not count.

    Returns
    -------
    float
        From -1 to 1; NaN if every class has a single row.
    """
    cosines = []
    for _, rows in memory.rows.reset_index(drop=True).groupby("label"):
        if len(rows) > 1:
            total = memory.teacher_embeddings[rows.index].sum(axis=0, dtype=np.float64)
            cosines.append((total @ total - len(rows)) / (len(rows) * (len(rows) - 1)))
    return float(np.mean(cosines)) if cosines else float("nan")
