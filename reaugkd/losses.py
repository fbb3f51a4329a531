"""Step 3 in formulas: the losses that a student is distilled by."""

import torch
from torch import Tensor, nn


def soft_label_cross_entropy(soft_labels: Tensor, logits: Tensor, temperature: float = 1.0) -> Tensor:
    r"""Return the cross-entropy of the student with the teacher's soft labels.

    .. math:: \frac{T^2}{N} \sum_i - \sum_c \bar y_{ic}^{(T)} \log \hat y_{ic}^{(T)}

    Both sides are softened by T; the factor T² keeps the gradient's size (Hinton et al. 2015). At T = 1 this is
    the CE(ȳ, ŷ) of the paper.

    Parameters
    ----------
    soft_labels : (N, C) float
        The teacher's probabilities at temperature 1.
    logits : (N, C) float
        The student's logits.
    temperature : float
        T, above 0.

    Returns
    -------
    Tensor
        A scalar.
    """
    # Softmax of log-probabilities is softmax of logits: a shift by a row's constant does not count.
    targets = (
        soft_labels if temperature == 1 else torch.softmax(soft_labels.clamp(min=1e-12).log() / temperature, dim=-1)
    )
    return temperature**2 * -(targets * torch.log_softmax(logits / temperature, dim=-1)).sum(dim=-1).mean()


def relational_loss(
    student_embeddings: Tensor,
    teacher_embeddings: Tensor,
    candidates: Tensor,
    temperature: float = 0.1,
    kl_direction: str = "teacher_student",
) -> Tensor:
    r"""Return the relational loss: the student's similarities to the candidates shall be the teacher's.

    .. math:: q_{ij} = \mathrm{softmax}_j(z_i \cdot z_j / \tau), \quad
              p_{ij} = \mathrm{softmax}_j(x_i \cdot z_j / \tau), \quad
              L = \frac{1}{N} \sum_i \mathrm{KL}(q_i \| p_i)

    Parameters
    ----------
    student_embeddings : (N, d) float
        x_i, rows of length 1.
    teacher_embeddings : (N, d) float
        z_i of the same texts, rows of length 1.
    candidates : (M, d) float
        z_j: the batch's own ``teacher_embeddings``, or those of the whole memory.
    temperature : float
        τ, above 0.
    kl_direction : str
        ``"teacher_student"`` is KL(q‖p), the paper's; ``"student_teacher"`` is KL(p‖q).

    Returns
    -------
    Tensor
        A scalar, at least 0.
    """
    log_q = torch.log_softmax(teacher_embeddings @ candidates.T / temperature, dim=-1)
    log_p = torch.log_softmax(student_embeddings @ candidates.T / temperature, dim=-1)
    if kl_direction == "student_teacher":
        log_q, log_p = log_p, log_q
    return nn.functional.kl_div(log_p, log_q, reduction="batchmean", log_target=True)


def cosine_loss(student_embeddings: Tensor, teacher_embeddings: Tensor) -> Tensor:
    r"""Return how far the student lands from the teacher, :math:`\frac{1}{N} \sum_i (1 - x_i \cdot z_i)`.

    Parameters
    ----------
    student_embeddings, teacher_embeddings : (N, d) float
        x_i and z_i of the same texts, rows of length 1.

    Returns
    -------
    Tensor
        A scalar from 0 to 2.
    """
    return 1 - (student_embeddings * teacher_embeddings).sum(dim=-1).mean()


def leave_one_out_loss(
    student_embeddings: Tensor,
    soft_labels: Tensor,
    memory: Tensor,
    memory_soft_labels: Tensor,
    memory_rows: Tensor,
    temperature: float = 0.1,
) -> Tensor:
    r"""Return the cross-entropy of what the student retrieves from the memory: training through the retrieval.

    .. math:: r_i = \sum_{j \ne i} \mathrm{softmax}_j(x_i \cdot z_j / \tau) \, \bar y_j, \quad
              L = \frac{1}{N} \sum_i - \sum_c \bar y_{ic} \log r_{ic}

    A text never retrieves itself, as no query does (the leave-one-out rule of Goldberger et al. 2004).

    Parameters
    ----------
    student_embeddings : (N, d) float
        x_i, rows of length 1.
    soft_labels : (N, C) float
        ȳ_i.
    memory : (M, d) float
        z_j of all train rows.
    memory_soft_labels : (M, C) float
        ȳ_j of all train rows.
    memory_rows : (N,) int64
        Row of each text in the memory, which it does not see.
    temperature : float
        τ, above 0.

    Returns
    -------
    Tensor
        A scalar, at least 0.
    """
    similarities = student_embeddings @ memory.T / temperature
    similarities = similarities.scatter(1, memory_rows[:, None], -torch.inf)
    retrieved = torch.softmax(similarities, dim=-1) @ memory_soft_labels
    return -(soft_labels * retrieved.clamp(min=1e-6).log()).sum(dim=-1).mean()
