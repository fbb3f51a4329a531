"""Step 3: the student learns from the memory; the teacher of step 1 is trained by the same function."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import set_seed

from reaugkd.errors import ReAugKDError
from reaugkd.method.losses import gathered, relational_loss, soft_label_cross_entropy
from reaugkd.method.memory import Memory
from reaugkd.networks.encoders import TextClassifier
from reaugkd.networks.trainer import OnProgress, run_trainer
from reaugkd.networks.weights import find_weights
from reaugkd.recipe import GOLD_ONLY, DistillationSettings, Recipe, TrainingSettings
from reaugkd.tasks.task import Task

OnStudentEpoch = Callable[[int, TextClassifier], None]
NO_LABEL = -100
"""Stands for the gold label of a text that has none."""


class DistillationObjective(nn.Module):
    """The loss of a classifier.

    Parameters
    ----------
    classifier : TextClassifier
        What is trained.
    settings : DistillationSettings
        Weights and temperatures.
    memory : (M, d) float, optional
        z_j of all train rows, the candidates; those of the batch if left out.
    """

    accepts_loss_kwargs = False  # the Trainer then divides the loss by the accumulation steps

    def __init__(
        self, classifier: TextClassifier, settings: DistillationSettings, memory: Tensor | None = None
    ) -> None:
        super().__init__()
        self.classifier = classifier
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

        Where several processes hold a part each, the mean of their losses is the loss of the whole batch.

        Parameters
        ----------
        labels : (N,) int64
            Gold labels; :data:`NO_LABEL` where there is none.
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
        embeddings, logits = self.classifier(**tokens)
        logits = logits.float()
        loss = logits.new_zeros(())
        if settings.gold_label_weight:
            by_gold = nn.functional.cross_entropy(logits, labels, ignore_index=NO_LABEL, reduction="sum")
            labelled = gathered((labels != NO_LABEL).sum(dim=0, keepdim=True)).float().mean()  # of a process
            loss = loss + settings.gold_label_weight * by_gold / labelled.clamp(min=1e-6)
        if soft_labels is not None:
            soft = soft_label_cross_entropy(soft_labels, logits, settings.distillation_temperature)
            loss = loss + settings.soft_label_weight * soft
        if teacher_embeddings is not None:
            student_embeddings = nn.functional.normalize(embeddings.float(), dim=-1)
            candidates = gathered(teacher_embeddings) if self.memory is None else self.memory
            # Similarities over a small τ need more digits than bfloat16 has.
            with torch.autocast(embeddings.device.type, enabled=False):
                relational = relational_loss(
                    student_embeddings, teacher_embeddings, candidates, settings.relational_temperature
                )
            loss = loss + settings.relational_weight * relational
        return {"loss": loss}


def train_classifier(
    classifier: TextClassifier,
    task: Task,
    settings: TrainingSettings,
    stage: str,
    *,
    memory: Memory | None = None,
    loss: DistillationSettings = GOLD_ONLY,
    folder: str | Path | None = None,
    on_progress: OnProgress | None = None,
    on_epoch: OnStudentEpoch | None = None,
) -> None:
    """Train a teacher or a student on the train rows: by gold labels, by soft labels, or with the relational loss too.

    Where it learns from a teacher, it learns from the task's unlabelled texts too.

    Parameters
    ----------
    classifier : TextClassifier
        What is trained, in place.
    task : Task
        The task.
    settings : TrainingSettings
        How to train.
    stage : str
        Name of the run, shown with its progress.
    memory : Memory, optional
        The teacher's soft labels and embeddings of the task's taught texts; without it the gold labels alone count.
    loss : DistillationSettings
        Weights and temperatures of the loss, where there is a memory.
    folder : str or Path, optional
        Where checkpoints go; see :func:`reaugkd.networks.trainer.run_trainer`.
    on_progress : callable, optional
        Gets the progress; a bar is drawn if left out.
    on_epoch : callable, optional
        Is given the number of each epoch that has ended, 0 before the first, and the classifier.

    Raises
    ------
    ReAugKDError
        If the memory's embeddings are not as wide as the student's, and the loss needs them.
    """
    loss, width = loss if memory else GOLD_ONLY, classifier.embedding_width
    columns: dict[str, Any] = {}
    if memory and loss.soft_label_weight > 0:
        columns["soft_labels"] = memory.soft_labels
    if memory and loss.aligns:
        columns["teacher_embeddings"] = memory.teacher_embeddings
        if (given := memory.teacher_embeddings.shape[1]) != width:
            raise ReAugKDError(
                f"The teacher's embeddings are {given} wide and the student's {width}; project them to the student's "
                "width first."
            )
        if loss.embedding_head:
            classifier.add_embedding_head()
    if settings.freeze_word_embeddings:
        classifier.freeze_word_embeddings()
    texts, gold = task.taught_texts if columns else task.texts("train"), task.labels("train")
    columns["labels"] = np.pad(gold, (0, len(texts) - len(gold)), constant_values=NO_LABEL)
    candidates = columns.get("teacher_embeddings") if loss.candidates == "memory" else None
    run_trainer(
        DistillationObjective(classifier, loss, None if candidates is None else torch.as_tensor(candidates)),
        {**classifier.tokenize(texts), **columns},
        settings.for_width(width),
        folder,
        stage,
        tokenizer=classifier.tokenizer,
        on_progress=on_progress,
        on_epoch=None if on_epoch is None else lambda epoch: on_epoch(epoch, classifier),
    )


class Student(TextClassifier):
    """A small encoder that learns what a teacher says, and where its embeddings lie."""

    @classmethod
    def fit(
        cls,
        task: Task,
        memory: Memory | None = None,
        recipe: Recipe | None = None,
        *,
        folder: str | Path | None = None,
        stage: str = "Student",
        on_progress: OnProgress | None = None,
        on_epoch: OnStudentEpoch | None = None,
        **settings: Any,
    ) -> "Student":
        """Train a student by the loss of the recipe.

        Parameters
        ----------
        task : Task
            The task.
        memory : Memory, optional
            The teacher's, by :meth:`reaugkd.method.memory.Memory.of`: soft labels and embeddings of the task's texts.
            Without it the student learns the gold labels alone.
        recipe : Recipe, optional
            ``student``, ``student_layers``, ``student_training``, ``distillation``, ``max_length``, ``epochs`` and
            ``seed`` are used.
        folder : str or Path, optional
            For checkpoints, from which an interrupted training goes on.
        stage : str
            Name of the training in its progress.
        on_progress : callable, optional
            Gets the progress; a bar is drawn if left out.
        on_epoch : callable, optional
            Gets the number of each epoch that has ended, 0 before the first, and the student.
        **settings : Any
            Changes of the recipe, as :meth:`reaugkd.recipe.Recipe.updated` takes them.

        Returns
        -------
        Student
            In evaluation mode.

        Raises
        ------
        ReAugKDError
            If the encoder is not found or has fewer layers, or the memory's embeddings have another width.

        Examples
        --------
        >>> kd = Student.fit(task, memory, student=encoder, epochs=1, relational_weight=0.0, on_progress=silent)
        >>> embeddings, probabilities = kd.encode(["some iron and zinc"])
        >>> probabilities.shape == (1, len(task.label_names))
        True
        """
        recipe = (recipe or Recipe()).updated(**settings).for_task(task)
        weights, layers, training = find_weights(recipe.student), recipe.student_layers, recipe.student_training
        set_seed(training.seed)
        student = cls.from_pretrained(weights, len(task.label_names), layers=layers, max_length=recipe.max_length)
        options: dict[str, Any] = {"folder": folder, "on_progress": on_progress, "on_epoch": on_epoch}
        train_classifier(student, task, training, stage, memory=memory, loss=recipe.distillation, **options)
        return student
