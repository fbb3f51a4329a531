"""Step 3: distillation, by soft labels and by the relational loss that aligns the student's space."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import set_seed

from reaugkd.data import Task
from reaugkd.encoders import TextClassifier
from reaugkd.errors import ReAugKDError
from reaugkd.teacher import token_rows
from reaugkd.trainer import OnProgress, TrainingSettings, run_trainer

CANDIDATES = ("batch", "memory")
KL_DIRECTIONS = ("teacher_student", "student_teacher")


@dataclass(frozen=True)
class DistillationSettings:
    """Weights and temperatures of the student's loss; validated when made.

    The loss is ``soft_label_weight`` · CE(ȳ, ŷ) + ``gold_label_weight`` · CE(y, ŷ) + ``relational_weight`` · KL.

    Parameters
    ----------
    soft_label_weight : float
        Weight of the cross-entropy with the teacher's soft labels.
    gold_label_weight : float
        Weight of the cross-entropy with the gold labels.
    relational_weight : float
        β, the weight of the relational loss; 0 is plain distillation.
    distillation_temperature : float
        Temperature that softens both sides of the soft-label term.
    relational_temperature : float
        τ of the similarities.
    candidates : str
        Whose similarities are compared: the ``"batch"``, as in the paper, or the whole ``"memory"``.
    kl_direction : str
        ``"teacher_student"``, KL(q‖p) as in the paper, or ``"student_teacher"``, KL(p‖q).
    """

    soft_label_weight: float = 1.0
    gold_label_weight: float = 0.0
    relational_weight: float = 5.0
    distillation_temperature: float = 1.0
    relational_temperature: float = 0.1
    candidates: str = "memory"
    kl_direction: str = "teacher_student"

    def __post_init__(self) -> None:
        for name in ("soft_label_weight", "gold_label_weight", "relational_weight"):
            if getattr(self, name) < 0:
                raise ReAugKDError(f"The setting {name} is {getattr(self, name)}; it must not be below 0.")
        if self.soft_label_weight + self.gold_label_weight == 0:
            raise ReAugKDError(
                "Both soft_label_weight and gold_label_weight are 0; the classifier would learn nothing."
            )
        for name in ("distillation_temperature", "relational_temperature"):
            if getattr(self, name) <= 0:
                raise ReAugKDError(f"The setting {name} is {getattr(self, name)}; it must be above 0.")
        for name, choices in (("candidates", CANDIDATES), ("kl_direction", KL_DIRECTIONS)):
            if getattr(self, name) not in choices:
                raise ReAugKDError(
                    f"The setting {name} is {getattr(self, name)!r}; it must be one of {', '.join(choices)}."
                )


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


class DistillationObjective(nn.Module):
    """The student's loss.

    Parameters
    ----------
    student : TextClassifier
        What is trained.
    settings : DistillationSettings
        Weights and temperatures.
    memory : (M, d) float, optional
        z_j of all train rows, the candidates; those of the batch if left out.
    """

    accepts_loss_kwargs = False

    def __init__(self, student: TextClassifier, settings: DistillationSettings, memory: Tensor | None = None) -> None:
        super().__init__()
        self.student = student
        self.settings = settings
        self.memory: Tensor | None
        self.register_buffer("memory", memory, persistent=False)

    def forward(
        self,
        labels: Tensor,
        soft_labels: Tensor | None = None,
        teacher_embeddings: Tensor | None = None,
        **tokens: Tensor,
    ) -> dict[str, Tensor]:
        """Return the loss of a batch.

        Parameters
        ----------
        labels : (N,) int64
            Gold labels.
        soft_labels : (N, C) float, optional
            The teacher's probabilities; needed where ``soft_label_weight`` is above 0.
        teacher_embeddings : (N, d) float, optional
            z_i; needed where ``relational_weight`` is above 0.
        **tokens : Tensor
            Inputs of the encoder, each (N, L).

        Returns
        -------
        dict
            ``loss``, a scalar.
        """
        settings = self.settings
        pooled, logits = self.student(**tokens)
        logits = logits.float()
        loss = logits.new_zeros(())
        if settings.gold_label_weight:
            loss = loss + settings.gold_label_weight * nn.functional.cross_entropy(logits, labels)
        if settings.soft_label_weight and soft_labels is not None:
            soft = soft_label_cross_entropy(soft_labels, logits, settings.distillation_temperature)
            loss = loss + settings.soft_label_weight * soft
        if settings.relational_weight and teacher_embeddings is not None:
            student_embeddings = nn.functional.normalize(pooled.float(), dim=-1)
            candidates = teacher_embeddings
            if settings.candidates == "memory" and self.memory is not None:
                candidates = self.memory
            # Similarities over a small τ need more digits than bfloat16 has.
            with torch.autocast(pooled.device.type, enabled=False):
                aligned = relational_loss(
                    student_embeddings,
                    teacher_embeddings,
                    candidates,
                    settings.relational_temperature,
                    settings.kl_direction,
                )
            loss = loss + settings.relational_weight * aligned
        return {"loss": loss}


def train_student(
    weights: str | Path,
    task: Task,
    settings: TrainingSettings,
    distillation: DistillationSettings,
    folder: str | Path,
    stage: str,
    *,
    soft_labels: NDArray[np.float32] | None = None,
    teacher_embeddings: NDArray[np.float32] | None = None,
    layers: int | None = None,
    max_length: int = 128,
    on_progress: OnProgress | None = None,
) -> TextClassifier:
    """Train a student on the train rows: alone, by soft labels, or with the relational loss too.

    Parameters
    ----------
    weights : str or Path
        Folder of the pretrained encoder that the student starts from.
    task : Task
        The task.
    settings : TrainingSettings
        How to train.
    distillation : DistillationSettings
        Weights and temperatures of the loss.
    folder : str or Path
        Where checkpoints go.
    stage : str
        Name of the run, shown with its progress.
    soft_labels : (N, C) float32, optional
        The teacher's probabilities of the train rows.
    teacher_embeddings : (N, d) float32, optional
        z_i of the train rows; d is the student's width.
    layers : int, optional
        Keep only the first so many layers.
    max_length : int
        Tokens after which a text is cut.
    on_progress : callable, optional
        Is told of the progress.

    Returns
    -------
    TextClassifier
        The student, in evaluation mode.

    Raises
    ------
    ReAugKDError
        If the loss needs soft labels or embeddings that are not given, or the embeddings are not as wide as the
        student's.
    """
    for weight, needed, name in (
        (distillation.soft_label_weight, soft_labels, "soft_labels"),
        (distillation.relational_weight, teacher_embeddings, "teacher_embeddings"),
    ):
        if weight and needed is None:
            raise ReAugKDError(f"This loss needs the teacher's {name}; give them or set their weight to 0.")
    set_seed(settings.seed)
    student = TextClassifier.from_pretrained(weights, len(task.label_names), layers=layers, max_length=max_length)
    if teacher_embeddings is not None and teacher_embeddings.shape[1] != student.embedding_width:
        raise ReAugKDError(
            f"The teacher's embeddings are {teacher_embeddings.shape[1]} wide and the student's "
            f"{student.embedding_width}; project them to the student's width first."
        )
    if settings.freeze_word_embeddings:
        student.freeze_word_embeddings()
    columns: dict[str, NDArray[np.generic]] = {"labels": task.labels("train")}
    memory = None
    if distillation.soft_label_weight and soft_labels is not None:
        columns["soft_labels"] = soft_labels
    if distillation.relational_weight and teacher_embeddings is not None:
        columns["teacher_embeddings"] = teacher_embeddings
        memory = torch.as_tensor(teacher_embeddings) if distillation.candidates == "memory" else None
    tokens = token_rows(student, task.texts("train"))
    rows = Dataset.from_dict({**tokens.to_dict(), **columns}).with_format("torch")
    objective = DistillationObjective(student, distillation, memory)
    settings = settings.for_width(student.embedding_width)
    run_trainer(objective, rows, settings, folder, stage, tokenizer=student.tokenizer, on_progress=on_progress)
    return student
