"""Step 2: fit the projection head, so that the teacher's embeddings make a kNN classifier of the memory."""

from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import set_seed

from reaugkd.method.projection_head import ProjectionHead
from reaugkd.networks.trainer import OnProgress, TrainingSettings, run_trainer


def supervised_contrastive_loss(embeddings: Tensor, labels: Tensor, temperature: float = 0.1) -> Tensor:
    r"""Return the supervised contrastive loss in its L_out form (Khosla et al. 2020, equation 2).

    .. math:: L = \frac{1}{|I|} \sum_{i \in I} \frac{-1}{|P(i)|} \sum_{p \in P(i)}
              \log \frac{\exp(z_i \cdot z_p / \tau)}{\sum_{a \ne i} \exp(z_i \cdot z_a / \tau)}

    Parameters
    ----------
    embeddings : (N, d) float
        Rows of length 1.
    labels : (N,) int64
        Gold labels; P(i) are the other rows with the label of row i.
    temperature : float
        τ, above 0.

    Returns
    -------
    Tensor
        A scalar, the mean over the rows I that have a partner; 0 where none has.
    """
    similarities = embeddings @ embeddings.T / temperature
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    log_probabilities = torch.log_softmax(similarities.masked_fill(itself, -torch.inf), dim=1)
    partners = (labels[:, None] == labels[None, :]) & ~itself
    counts = partners.sum(dim=1)
    has_partner = counts > 0
    if not has_partner.any():
        return embeddings.sum() * 0.0
    per_row = -log_probabilities.masked_fill(~partners, 0.0).sum(dim=1) / counts.clamp(min=1)
    return per_row[has_partner].mean()


class ContrastiveObjective(nn.Module):
    """The supervised contrastive loss of a projection head.

    Parameters
    ----------
    head : ProjectionHead
        What is trained.
    temperature : float
        τ of the loss.
    """

    accepts_loss_kwargs = False

    def __init__(self, head: ProjectionHead, temperature: float) -> None:
        super().__init__()
        self.head = head
        self.temperature = temperature

    def forward(self, teacher_hidden: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the loss of a batch.

        Parameters
        ----------
        teacher_hidden : (N, H_t) float
            The frozen teacher's outputs.
        labels : (N,) int64
            Gold labels.

        Returns
        -------
        dict
            ``loss``, a scalar.
        """
        embeddings = self.head(teacher_hidden).float()
        # Similarities over a small τ need more digits than bfloat16 has.
        with torch.autocast(embeddings.device.type, enabled=False):
            return {"loss": supervised_contrastive_loss(embeddings, labels, self.temperature)}


def fit_projection_head(
    teacher_hidden: NDArray[np.float32],
    labels: NDArray[np.int64],
    student_width: int,
    settings: TrainingSettings,
    folder: str | Path,
    *,
    temperature: float = 0.1,
    on_progress: OnProgress | None = None,
) -> ProjectionHead:
    """Train only the projection head, on the frozen teacher's outputs of the train rows.

    Parameters
    ----------
    teacher_hidden : (N, H_t) float32
        Pooled outputs of the fine-tuned teacher.
    labels : (N,) int64
        Gold labels.
    student_width : int
        Width d to project to.
    settings : TrainingSettings
        How to train; a large batch holds partners of every class.
    folder : str or Path
        Where checkpoints go.
    temperature : float
        τ of the contrastive loss.
    on_progress : callable, optional
        Is told of the progress.

    Returns
    -------
    ProjectionHead
        The trained head, in evaluation mode.
    """
    set_seed(settings.seed)
    head = ProjectionHead(teacher_hidden.shape[1], student_width)
    rows = Dataset.from_dict({"teacher_hidden": teacher_hidden, "labels": labels}).with_format("torch")
    run_trainer(
        ContrastiveObjective(head, temperature), rows, settings, folder, "Projection head", on_progress=on_progress
    )
    return head
