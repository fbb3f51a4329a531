"""Step 2: the projection head turns the teacher's outputs into embeddings of the student's width."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AutoConfig, set_seed

from reaugkd.method.losses import gathered
from reaugkd.networks.weights import find_weights
from reaugkd.recipe import Recipe

if TYPE_CHECKING:  # takes a second to import, and loading a head does not need it
    from reaugkd.networks.trainer import OnProgress
    from reaugkd.tasks.task import Task

FEWEST_NUMBERS = 8


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


class ProjectionHead(nn.Module):
    """One linear layer from the teacher's width to the student's, outputs of length 1 (z_i).

    Parameters
    ----------
    teacher_width : int
        Width H_t of ``teacher_hidden``.
    student_width : int
        Width d of the student's embedding.
    """

    def __init__(self, teacher_width: int, student_width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(teacher_width, student_width)

    def forward(self, teacher_hidden: Tensor) -> Tensor:
        """Project and normalise.

        Parameters
        ----------
        teacher_hidden : (N, H_t) float
            Pooled outputs of the teacher.

        Returns
        -------
        (N, d) float
            Rows of length 1.
        """
        return nn.functional.normalize(self.linear(teacher_hidden), dim=-1)

    @torch.inference_mode()
    def project(self, teacher_hidden: NDArray[np.floating]) -> NDArray[np.float32]:
        """Project arrays: ``teacher_hidden`` (N, H_t) to ``teacher_embeddings`` (N, d) float32."""
        hidden = torch.as_tensor(np.asarray(teacher_hidden, dtype=np.float32), device=self.linear.weight.device)
        return self(hidden).float().cpu().numpy()

    @classmethod
    def fit(
        cls,
        task: "Task",
        teacher_hidden: NDArray[np.floating],
        recipe: Recipe | None = None,
        *,
        folder: str | Path | None = None,
        on_progress: "OnProgress | None" = None,
        **settings: Any,
    ) -> "ProjectionHead":
        """Train a head on the frozen teacher's outputs of the train rows.

        Parameters
        ----------
        task : Task
            Its gold labels of the train rows are used.
        teacher_hidden : (N, H_t) float
            The fine-tuned teacher's outputs h_i of these rows, in their order.
        recipe : Recipe, optional
            ``student``, to whose width the head projects, ``projection_training``, ``projection_temperature`` and
            ``seed`` are used.
        folder : str or Path, optional
            For checkpoints, from which an interrupted training goes on.
        on_progress : callable, optional
            Gets the progress; a bar is drawn if left out.
        **settings : Any
            Changes of the recipe, as :meth:`reaugkd.recipe.Recipe.updated` takes them.

        Returns
        -------
        ProjectionHead
            In evaluation mode.

        Examples
        --------
        >>> head = ProjectionHead.fit(task, outputs.of("train")[0], on_progress=silent)
        >>> head.project(outputs.of("test")[0]).shape == (len(task.rows["test"]), head.linear.out_features)
        True
        """
        from reaugkd.networks.trainer import run_trainer

        recipe = (recipe or Recipe()).updated(**settings).for_task(task)
        width = AutoConfig.from_pretrained(find_weights(recipe.student)).hidden_size
        set_seed(recipe.seed)
        head = cls(teacher_hidden.shape[1], width)
        rows = {"teacher_hidden": np.asarray(teacher_hidden, dtype=np.float32), "labels": task.labels("train")}
        objective, training = ContrastiveObjective(head, recipe.projection_temperature), recipe.projection_training
        run_trainer(objective, rows, training, folder, "Projection head", on_progress=on_progress)
        return head


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
        # Where several processes hold a part of the batch each, a row's partners may be another's.
        embeddings, labels = gathered(self.head(teacher_hidden).float()), gathered(labels)
        # Similarities over a small τ need more digits than bfloat16 has.
        with torch.autocast(embeddings.device.type, enabled=False):
            return {"loss": supervised_contrastive_loss(embeddings, labels, self.temperature)}


def key_width(embeddings: NDArray[np.floating], classes: int) -> int:
    """Return how many numbers a key of the teacher's embeddings needs: as many as classes, 8 at least.

    The contrastive loss draws each class to a point, so the first principal components of z hold nearly all of it.

    Parameters
    ----------
    embeddings : (N, d) float
        z.
    classes : int
        C.

    Returns
    -------
    int
        At most d, and at most N.
    """
    return min(max(FEWEST_NUMBERS, classes), *embeddings.shape)
