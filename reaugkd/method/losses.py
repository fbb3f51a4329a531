"""Step 3 in formulas: the losses that a student is distilled by."""

import torch
from torch import Tensor, distributed, nn


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
    student_embeddings: Tensor, teacher_embeddings: Tensor, candidates: Tensor, temperature: float = 0.1
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

    Returns
    -------
    Tensor
        A scalar, at least 0.
    """
    log_q = torch.log_softmax(teacher_embeddings @ candidates.T / temperature, dim=-1)
    log_p = torch.log_softmax(student_embeddings @ candidates.T / temperature, dim=-1)
    return nn.functional.kl_div(log_p, log_q, reduction="batchmean", log_target=True)


def gathered(rows: Tensor) -> Tensor:
    """Return the rows (P · N, ...) of all P processes, through which gradients flow; one process has all, (N, ...)."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return rows
    from torch.distributed._functional_collectives import all_gather_single  # torch's own advice, and it is pinned

    assert distributed.group.WORLD is not None
    return all_gather_single(rows.contiguous(), 0, distributed.group.WORLD)
