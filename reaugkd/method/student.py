"""Step 3: a small student learns from the teacher's memory."""

from pathlib import Path
from typing import Any

from reaugkd.method.distillation import OnStudentEpoch, train_classifier
from reaugkd.method.memory import Memory
from reaugkd.networks.encoders import TextClassifier
from reaugkd.networks.trainer import OnProgress
from reaugkd.networks.weights import find_weights
from reaugkd.recipe import GOLD_ONLY, Recipe
from reaugkd.tasks.task import Task


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
        return train_classifier(
            cls,
            find_weights(recipe.student),
            task,
            recipe.student_training,
            recipe.distillation if memory else GOLD_ONLY,
            folder,
            stage,
            soft_labels=memory.soft_labels if memory else None,
            teacher_embeddings=memory.teacher_embeddings if memory and recipe.distillation.aligns else None,
            layers=recipe.student_layers,
            max_length=recipe.max_length,
            on_progress=on_progress,
            on_epoch=on_epoch,
        )
