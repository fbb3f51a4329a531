"""Step 6: answer with the student and the teacher's memory; no teacher runs."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import huggingface_hub
import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError, in_short, kind_of, listed, quoted, read_as, reason, require
from reaugkd.files import as_path, restored
from reaugkd.measures.calibration import PROBABILITY, Threshold, as_numbers, choose_threshold
from reaugkd.measures.metrics import METRICS
from reaugkd.method.answers import Answers, EncodedTexts, answer
from reaugkd.method.keys import Key, fit_keys_by_split
from reaugkd.method.memory import Memory
from reaugkd.method.pool import Pool
from reaugkd.method.projection import ProjectionHead
from reaugkd.model.explanation import Explanation, explain
from reaugkd.model.folder import ModelSettings, memory_of_table, memory_table, read_model, write_model
from reaugkd.model.maps import ProjectionMaps, TrainingEpochs
from reaugkd.networks.encoders import TextClassifier
from reaugkd.networks.weights import hub_is_reachable, is_hub_name
from reaugkd.recipe import Recipe
from reaugkd.texts import Text, check_texts, checked_table, label_text, texts_of

if TYPE_CHECKING:  # each takes a second to import, and an answer does not need it
    from datasets import Dataset

    from reaugkd.tasks.task import Task


@dataclass(eq=False, kw_only=True, repr=False)
class ReAugKDClassifier:
    """A trained student with the teacher's memory.

    :func:`reaugkd.training.train` and :meth:`tune` make one, :meth:`from_pretrained` loads one. The first five
    parameters make a model; the others may be left out.

    Parameters
    ----------
    settings : ModelSettings
        What it was made of: the task, its metric and classes, the pretrained encoders.
    pool : Pool
        How student and memory make one answer: k, τ and weight of each key.
    student : TextClassifier
        The student.
    memory : Memory
        The teacher's memory, which all keys search.
    keys : dict of str to Key
        What makes of a text a query of the memory, by name.
    metrics : dict
        The measured figures, empty if none.
    evaluation_rows : DataFrame or None
        Validation and test rows: ``id``, ``split``, ``text``, ``label`` and further columns.
    maps : ProjectionMaps or None
        The two maps.
    projection_head : ProjectionHead or None
        Maps the teacher's hidden states to z.
    teacher : TextClassifier or None
        The teacher, where it was kept.
    card : str
        The model card, Markdown.
    epochs : TrainingEpochs or None
        Where some of the memories lay after each epoch of the student's training.
    threshold : Threshold or None
        From which score on a text is answered and not left to a person; :meth:`with_threshold` chooses one.
    pinned : DataFrame or None
        Texts that must stay right when the memory is edited: ``text``, for pairs ``text_pair``, and ``label``.

    Notes
    -----
    A model can be pickled, and asked by many threads. A process that is forked answers by one thread, since torch's
    others are not there.

    Examples
    --------
    >>> model.predict(["some iron and zinc", "a ripe plum"])
    array(['metal', 'fruit'], dtype='<U7')
    """

    settings: ModelSettings
    pool: Pool
    student: TextClassifier
    memory: Memory
    keys: dict[str, Key]
    metrics: dict[str, Any] = field(default_factory=dict)
    evaluation_rows: pd.DataFrame | None = None
    maps: ProjectionMaps | None = None
    projection_head: ProjectionHead | None = None
    teacher: TextClassifier | None = None
    card: str = ""
    epochs: TrainingEpochs | None = None
    threshold: Threshold | None = None
    pinned: pd.DataFrame | None = None

    @classmethod
    def tune(cls, student: TextClassifier, memory: Memory, task: "Task", recipe: Recipe | None = None) -> Self:
        """Fit the keys to a memory, and choose on the task's validation rows how each counts.

        Parameters
        ----------
        student : TextClassifier
            By :meth:`reaugkd.method.distillation.Student.fit`.
        memory : Memory
            By :meth:`reaugkd.method.memory.Memory.of`, of the same task.
        task : Task
            The task.
        recipe : Recipe, optional
            ``encoder_key`` and its layers are used; the rest is for the record.

        Returns
        -------
        ReAugKDClassifier
            With the task's validation and test rows, without figures.

        Examples
        --------
        >>> tuned = ReAugKDClassifier.tune(student, memory, task)
        >>> tuned.evaluate()["rows"] == len(task.rows["test"])
        True
        """
        from reaugkd.method.choice import choose_pool

        recipe = recipe or Recipe()
        keyed = fit_keys_by_split(task, memory, student, recipe)
        keys_to_choose, memory_to_choose = keyed["validation"]
        encoded = EncodedTexts.of(student, keys_to_choose, task.texts("validation"))
        choice = choose_pool(encoded, task.labels("validation"), memory_to_choose, list(keys_to_choose))
        keys, memory = keyed["test"]
        return cls(
            settings=ModelSettings.of(task, recipe, student.num_layers),
            pool=choice.pool,
            student=student,
            memory=memory,
            keys=keys,
            evaluation_rows=task.held_out_table(),
        )

    @classmethod
    def from_pretrained(cls, folder_or_name: str | Path) -> Self:
        """Load a trained model.

        Parameters
        ----------
        folder_or_name : str or Path
            A local folder, or the name of a model on the hub.

        Returns
        -------
        ReAugKDClassifier
            The model, on the CPU.

        Raises
        ------
        ReAugKDError
            If there is no such model, or it is damaged or of another version.
        """
        folder, name, missing = restored(as_path(folder_or_name)), str(folder_or_name), "There is no folder"
        if not folder.is_dir() and name.count("/") == 1 and is_hub_name(name):
            try:
                folder = Path(huggingface_hub.snapshot_download(name, local_files_only=not hub_is_reachable()))
            except RepositoryNotFoundError:
                missing = "There is neither a folder nor a model on the hub called"
            except LocalEntryNotFoundError:
                pass  # there is no hub, and nothing of it is cached
            except Exception as error:  # the hub's own kinds, and those of HTTP
                raise ReAugKDError(
                    f"The hub did not deliver the model {quoted(name)} ({in_short(reason(error))}); try again."
                ) from error
        if folder.is_dir():
            return cls(**read_model(folder))
        raise ReAugKDError(f"{missing} {quoted(name)}; train a model with `reaugkd train --out {in_short(name)}`.")

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model as a folder laid out as a Hugging Face repository; see :mod:`reaugkd.model.folder`."""
        write_model(self, folder)

    def push_to_hub(self, repo_id: str, *, private: bool = False, token: str | None = None) -> str:
        """Upload the model to the hub.

        Parameters
        ----------
        repo_id : str
            ``"owner/name"``; made if it does not exist.
        private : bool
            Whether a new repository is private.
        token : str, optional
            Access token; the one that is logged in, if left out.

        Returns
        -------
        str
            Address of the commit.
        """
        hub = huggingface_hub.HfApi(token=token)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            self.save_pretrained(folder)
            try:
                hub.create_repo(repo_id, private=private, exist_ok=True)
                message = "Upload a ReAugKD model"
                return str(hub.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=message))
            except Exception as error:  # the hub's own kinds, and those of HTTP
                raise ReAugKDError(
                    f"The hub did not take the model {quoted(repo_id)} ({in_short(reason(error))}); check its name, "
                    "your login and the network."
                ) from error

    @property
    def classes_(self) -> NDArray[np.str_]:
        """Names of the C classes, in the order of the probabilities."""
        return np.asarray(self.memory.classes)

    def encode(self, texts: Sequence[Text], rows: pd.DataFrame | None = None) -> EncodedTexts:
        """Run the student once over texts, and make of each what every key searches with.

        Parameters
        ----------
        texts : sequence of Text
            N texts or pairs.
        rows : DataFrame, optional
            What more is known of them; see :meth:`encode_rows`.

        Returns
        -------
        EncodedTexts
            For :meth:`answer`, as often as wanted; no teacher is run.

        Raises
        ------
        ReAugKDError
            If a text is empty or enormous, or a pair where the model takes single texts, or the other way round.
        """
        texts = check_texts(texts)
        for text in texts:
            if isinstance(text, str) == self.settings.is_pair:
                wanted = "pairs of texts" if self.settings.is_pair else "single texts"
                raise ReAugKDError(f"This model classifies {wanted}; give it those.")
        return EncodedTexts.of(self.student, self.keys, texts, rows)

    def encode_rows(self, rows: pd.DataFrame) -> EncodedTexts:
        """Run the student once over rows with gold labels.

        Parameters
        ----------
        rows : DataFrame
            ``text``, ``label`` (a name or, where names are numbers, a number), for pairs ``text_pair``, and further
            columns; ``teacher_soft_labels`` where the teacher's are known.

        Returns
        -------
        EncodedTexts
            The rows with what the networks say.

        Raises
        ------
        ReAugKDError
            If there are no rows, a text is empty, or a label is not one of the model's classes.
        """
        rows = checked_table(rows, "table", ["text", *["text_pair"] * self.settings.is_pair, "label"])
        names = set(self.memory.classes)
        rows = rows.assign(label=[label if label in names else label_text(label) for label in rows["label"]])
        _check_classes(rows["label"], self.memory.classes)
        teacher = None
        if "teacher_soft_labels" in rows.columns:
            said = as_numbers(rows.pop("teacher_soft_labels").to_list(), "The column teacher_soft_labels")
            wanted = (len(rows), self.student.classifier.out_features)
            require(said.shape == wanted, "The shape of teacher_soft_labels", said.shape, str(wanted))
            teacher = said.astype(np.float32)
        encoded = self.encode(texts_of(rows, self.settings.is_pair), rows.reset_index(drop=True))
        return replace(encoded, teacher_probabilities=teacher)

    def held_out(self, splits: Sequence[str] = ("validation", "test")) -> pd.DataFrame:
        """Return the rows that the model carries for its evaluation.

        Parameters
        ----------
        splits : sequence of str
            Which of ``validation`` and ``test``.

        Returns
        -------
        DataFrame
            For :meth:`encode_rows`.

        Raises
        ------
        ReAugKDError
            If the model carries none.
        """
        rows, splits = self.evaluation_rows, read_as(list[str], splits, "splits")
        if rows is None:
            raise ReAugKDError("The model carries no evaluation rows; train it again, or give rows with gold labels.")
        return rows[rows["split"].isin(splits)].reset_index(drop=True)

    def evaluate(self, rows: pd.DataFrame | None = None) -> dict[str, Any]:
        """Score the model on rows with gold labels.

        Parameters
        ----------
        rows : DataFrame, optional
            As :meth:`encode_rows` takes them; the test rows that the model carries if left out.

        Returns
        -------
        dict
            ``metric``, ``rows`` and ``methods``: the score of the student alone, of the memory alone and of the answer
            (``reaugkd``).

        Raises
        ------
        ReAugKDError
            If there are no rows, a text is empty, or a label is not one of the model's classes.
        """
        rows = self.held_out(["test"]) if rows is None else rows
        answers, metric = self.answer(self.encode_rows(rows)), self.settings.metric
        names = {"student": "student", "memory": "memory", "reaugkd": "answer"}
        scores = {name: METRICS[metric](answers.labels, answers.predicted[voice]) for name, voice in names.items()}
        return {"metric": metric, "rows": len(rows), "methods": scores}

    def memory_batches(self, rows: "Dataset", *, num_proc: int = 1, batch_size: int = 10_000) -> Iterator[Memory]:
        """Encode and key a corpus of any size, in several processes, as parts of a memory.

        Their soft labels and z are the teacher's, where it was kept and knows the class; else the label alone, and the
        student's x.

        Parameters
        ----------
        rows : Dataset
            Of the datasets library: ``id``, ``text``, ``label`` (a name), for pairs ``text_pair``, further columns.
        num_proc : int
            How many processes; if several, each runs one thread.
        batch_size : int
            Rows of a part.

        Yields
        ------
        Memory
            For :meth:`reaugkd.method.memory.Memory.build` or :meth:`reaugkd.method.milvus.MilvusMemory.upsert`.

        Raises
        ------
        ReAugKDError
            If a column is missing, or a label is not one of the model's classes.

        Examples
        --------
        >>> batches = model.memory_batches(task.rows["train"].from_pandas(task.table("train")))
        >>> large = Memory.build(batches, folder)
        >>> len(large) == len(task.rows["train"])
        True
        """
        from datasets import Dataset

        require(isinstance(rows, Dataset), "The corpus", kind_of(rows), "a Dataset, such as Dataset.from_pandas(table)")
        num_proc, batch_size = read_as(int, num_proc, "num_proc"), read_as(int, batch_size, "batch_size")
        for name, number in (("num_proc", num_proc), ("batch_size", batch_size)):
            require(number >= 1, name, number, "at least 1")
        if missing := {"id", "text", "label"}.difference(rows.column_names):
            raise ReAugKDError(f"The rows have no {min(missing)}; a memory needs id, text and label.")
        networks = (self.student, self.teacher, self.projection_head)
        makes = partial(_remembered, networks, self.keys, self.memory.classes, num_proc)
        several = {"num_proc": num_proc} if num_proc > 1 else {}
        made = rows.with_format("arrow").map(makes, batched=True, batch_size=batch_size, **several)
        for start in range(0, len(made), batch_size):
            yield memory_of_table(made[start : start + batch_size], self.memory.classes)

    def answer(self, encoded: EncodedTexts, pool: Pool | None = None) -> Answers:
        """Answer texts that are encoded, by the model's memory; no network runs.

        Parameters
        ----------
        encoded : EncodedTexts
            By :meth:`encode` or :meth:`encode_rows`.
        pool : Pool, optional
            Used instead of the chosen one, such as ``model.pool.overridden(k=4)``.

        Returns
        -------
        Answers
            The answers, with what every key found.
        """
        return replace(answer(encoded, self.memory, pool or self.pool), threshold=self.threshold)

    def predict_proba(
        self,
        texts: Sequence[Text],
        *,
        k: int | None = None,
        retrieval_weight: float | None = None,
        temperature: float | None = None,
    ) -> NDArray[np.float64]:
        """Return the class probabilities.

        Parameters
        ----------
        texts : sequence of Text
            N texts or pairs.
        k : int, optional
            Number of neighbours by every key; the chosen ones if left out.
        retrieval_weight : float, optional
            λ instead of the fitted one; at 0 the classes have the plain student's order, at 1 the memory's.
        temperature : float, optional
            τ_r of the neighbours' weights, for every key.

        Returns
        -------
        (N, C) float64
            Rows sum to 1; the order of the columns is ``classes_``.
        """
        pool = self.pool.overridden(k, retrieval_weight, temperature)
        if not len(check_texts(texts)):
            return np.empty((0, len(self.classes_)))
        # A key of weight 0 is neither embedded nor searched.
        needed = pool.searched(self.student.classifier.out_features, len(self.classes_))
        encoded = replace(self, keys={name: self.keys[name] for name in needed}).encode(texts)
        return answer(encoded, self.memory, pool, every_key=False).pooled.probabilities

    def predict(
        self,
        texts: Sequence[Text],
        *,
        k: int | None = None,
        retrieval_weight: float | None = None,
        temperature: float | None = None,
    ) -> NDArray[np.str_]:
        """Return the names of the most probable classes, shape (N,); the arguments are those of predict_proba."""
        probabilities = self.predict_proba(texts, k=k, retrieval_weight=retrieval_weight, temperature=temperature)
        return self.classes_[probabilities.argmax(axis=1)]

    def is_sure(self, texts: Sequence[Text]) -> NDArray[np.bool_]:
        """Return whether each text reaches the model's threshold, shape (N,); leave the others to a person."""
        return self.answer(self.encode(texts)).is_sure

    def with_threshold(self, accuracy: float, by: str = PROBABILITY) -> Self:
        """Choose on the validation rows which texts are left to a person.

        Parameters
        ----------
        accuracy : float
            What is wanted of the validation rows that are answered, from 0 to 1; as many as possible are.
        by : str
            ``"probability"``: the least sure are left to a person; the name of a key: those that are farthest from all
            memories by it.

        Returns
        -------
        ReAugKDClassifier
            The same model with its threshold.

        Raises
        ------
        ReAugKDError
            If the model carries no evaluation rows, has no such key, or no threshold reaches the accuracy.

        Examples
        --------
        >>> careful = model.with_threshold(0.9)
        >>> careful.is_sure(["some iron and zinc"])
        array([ True])
        """
        answers = self.answer(self.encode_rows(self.held_out(["validation"])))
        return replace(self, threshold=choose_threshold(answers.scores(by), answers.right, accuracy, by))

    def explain(
        self,
        text: Text,
        *,
        k: int | None = None,
        retrieval_weight: float | None = None,
        temperature: float | None = None,
    ) -> Explanation:
        """Answer one text and take the answer apart; the arguments are those of :meth:`predict_proba`."""
        pool = self.pool.overridden(k, retrieval_weight, temperature)
        return explain(self.answer(self.encode([text]), pool))


def _check_classes(labels: pd.Series, classes: tuple[str, ...]) -> None:
    unknown = sorted(set(labels) - set(classes), key=str)
    if unknown:
        raise ReAugKDError(f"The model has no class {quoted(unknown[0])}; its classes are {listed(classes)}.")


_Networks = tuple[TextClassifier, TextClassifier | None, ProjectionHead | None]


def _remembered(
    networks: _Networks, keys: Mapping[str, Key], classes: tuple[str, ...], num_proc: int, table: pa.Table
) -> pa.Table:
    """Make a part of a memory of a table of rows, in a process of :meth:`ReAugKDClassifier.memory_batches`."""
    if num_proc > 1:
        torch.set_num_threads(1)  # one that is spawned, not forked, would start a thread for each core
    student, teacher, head = networks
    rows = table.to_pandas()
    texts, gold = texts_of(rows, "text_pair" in rows.columns), pd.Index(classes).get_indexer(rows["label"])
    _check_classes(rows["label"], classes)
    soft_labels = np.eye(len(classes), dtype=np.float32)[gold]
    if teacher is None or head is None:
        z = student.embed(texts)
    else:
        hidden, said = teacher.encode(texts)
        z, knows = head.project(hidden), gold < said.shape[1]
        soft_labels[knows] = np.pad(said[knows], ((0, 0), (0, len(classes) - said.shape[1])))
    made = {name: key.embed(texts, z) for name, key in keys.items()}
    return memory_table(Memory(rows, classes, soft_labels, z, made))
