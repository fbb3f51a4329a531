"""Step 5: answer with the student and the teacher's memory; no teacher runs."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError
from numpy.typing import NDArray

from reaugkd.encoders import normalize
from reaugkd.errors import ReAugKDError
from reaugkd.knowledge_base import KnowledgeBase
from reaugkd.model_folder import ModelParts, read_model, write_model
from reaugkd.retrieval import RetrievalSettings, Retrieved, combine, retrieve
from reaugkd.texts import Text, check_texts, row_in_one_line
from reaugkd.weights import hub_is_reachable, is_hub_name

OWN_COLUMNS = ("id", "text", "text_pair", "label")


@dataclass(frozen=True)
class Neighbour:
    """A memory that was retrieved, and what it did to the answer.

    Parameters
    ----------
    rank : int
        1 is the nearest.
    number : int
        Row number in the knowledge base.
    id, text, label : str
        The training row: its id, its text (of a pair, both joined by a bar) and its gold label.
    similarity : float
        Cosine similarity of the query's embedding and the memory's key, from -1 to 1, higher is nearer.
    weight : float
        w_ik; the weights of all neighbours sum to 1. See :func:`reaugkd.retrieval.neighbour_weights` and, where the
        memory holds classes that the student does not know, :func:`reaugkd.retrieval.new_class_weights`.
    soft_labels : (C,) float64
        What the teacher thought of it, in the order of the classes.
    share : float
        Its part λ · w_ik · ȳ_k[c] / p[c] of the answer's class c, without λ where the student does not know the
        class; all shares and the student's sum to 1.
    columns : dict
        Further columns of the row, such as its topic.
    """

    rank: int
    number: int
    id: str
    text: str
    label: str
    similarity: float
    weight: float
    soft_labels: NDArray[np.float64]
    share: float
    columns: dict[str, Any]


@dataclass(frozen=True)
class Explanation:
    """An answer, taken apart.

    Parameters
    ----------
    text : Text
        The query.
    label : str
        The answer: the class of the highest combined probability.
    classes : tuple of str
        Names of the C classes.
    student_probabilities : (C',) float64
        ŷ: what the student itself says of the classes it was trained on, the first of the C; calibrated where a gate
        sets λ.
    student_vote, retrieved, probabilities : (C,) float64
        What goes into the blend for ŷ (the same, unless the memory gives something to classes that the student does
        not know; see :func:`reaugkd.retrieval.student_vote`), r, and (1 - λ) vote + λ r.
    memory_weights : (C,) float64
        λ by class: 1 for a class that the student was not trained on, of which it cannot speak; 0 there too if λ is
        fixed at 0, since the memory is not asked then.
    student_share : float
        The student's part (1 - λ) vote[c] / p[c] of the answer's class c.
    neighbours : list of Neighbour
        The nearest first.
    retrieval : RetrievalSettings
        The k, λ and τ_r that were used; λ is the one that the gate gave where it was asked.
    embedding : (d,) float32
        x, the student's embedding of the query, of length 1.
    """

    text: Text
    label: str
    classes: tuple[str, ...]
    student_probabilities: NDArray[np.float64]
    student_vote: NDArray[np.float64]
    retrieved: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    memory_weights: NDArray[np.float64]
    student_share: float
    neighbours: list[Neighbour]
    retrieval: RetrievalSettings
    embedding: NDArray[np.float32]

    @property
    def student_label(self) -> str:
        """The class that the student alone names, one of those it knows."""
        return self.classes[int(self.student_probabilities.argmax())]

    @property
    def memory_alone(self) -> bool:
        """Whether the answer is a class that the student does not know, so that the memory alone names it."""
        return self.label not in self.classes[: len(self.student_probabilities)]

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as plain values, for JSON: probabilities by class name, neighbours without their row.

        Returns
        -------
        dict
            ``student`` holds what the student itself says, so it has no class that came after its training.
        """
        return {
            "text": self.text,
            "label": self.label,
            "probabilities": self._by_class(self.probabilities),
            "student": self._by_class(self.student_probabilities),
            "retrieved": self._by_class(self.retrieved),
            "student_share": self.student_share,
            "k": self.retrieval.k,
            "retrieval_weight": self.retrieval.retrieval_weight,
            "temperature": self.retrieval.temperature,
            "neighbours": [
                {
                    "id": neighbour.id,
                    "text": neighbour.text,
                    "label": neighbour.label,
                    "similarity": neighbour.similarity,
                    "weight": neighbour.weight,
                    "share": neighbour.share,
                    "soft_labels": self._by_class(neighbour.soft_labels),
                }
                for neighbour in self.neighbours
            ],
        }

    def _by_class(self, probabilities: NDArray[np.floating]) -> dict[str, float]:
        names = self.classes[: len(probabilities)]
        return {name: round(float(value), 6) for name, value in zip(names, probabilities, strict=True)}


class ReAugKDClassifier:
    """A trained student with the teacher's memory.

    Parameters
    ----------
    parts : ModelParts
        What a model's folder holds; :func:`reaugkd.recipe.train` makes one, :meth:`from_pretrained` loads one.

    Examples
    --------
    >>> model = ReAugKDClassifier.from_pretrained("runs/shoptalk")  # doctest: +SKIP
    >>> model.predict(["Great, it broke on day two."])  # doctest: +SKIP
    array(['sarcasm'], dtype='<U10')
    """

    def __init__(self, parts: ModelParts) -> None:
        self.parts = parts

    @classmethod
    def from_pretrained(cls, folder_or_name: str | Path) -> "ReAugKDClassifier":
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
        if Path(folder_or_name).expanduser().is_dir():
            return cls(read_model(folder_or_name))
        name, missing = str(folder_or_name), "There is no folder"
        if name.count("/") == 1 and is_hub_name(name):
            try:
                folder = huggingface_hub.snapshot_download(name, local_files_only=not hub_is_reachable())
            except RepositoryNotFoundError:
                missing = "There is neither a folder nor a model on the hub called"
            except LocalEntryNotFoundError:
                pass  # there is no hub, and nothing of it is cached
            except Exception as error:  # the hub's own kinds, and those of HTTP
                raise ReAugKDError(f"The hub did not deliver the model {name!r} ({error}); try again.") from error
            else:
                return cls(read_model(folder))
        raise ReAugKDError(f"{missing} {name!r}; train a model with `reaugkd train --out {name}`.")

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model as a folder laid out as a Hugging Face repository; see :mod:`reaugkd.model_folder`."""
        write_model(self.parts, folder)

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
        hub.create_repo(repo_id, private=private, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            self.save_pretrained(folder)
            return str(hub.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Upload a ReAugKD model"))

    @property
    def classes_(self) -> NDArray[np.str_]:
        """Names of the C classes, in the order of the probabilities."""
        return np.asarray(self.parts.settings.label_names)

    @property
    def retrieval(self) -> RetrievalSettings:
        """The k, τ_r and gate that were chosen on held-out rows."""
        return self.parts.retrieval

    @property
    def memory(self) -> KnowledgeBase:
        """The memory as it is searched: by the second key where the model has one, else by the student's."""
        second_key = self.parts.second_key
        return self.parts.knowledge_base if second_key is None else second_key.knowledge_base

    def query_keys(self, texts: Sequence[Text], embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what :attr:`memory` is searched with.

        Parameters
        ----------
        texts : sequence of Text
            N texts or pairs.
        embeddings : (N, d) float32
            x_i of the same texts, as :meth:`embed` gives them.

        Returns
        -------
        (N, d') float32
            x_i, or the second key's embeddings.
        """
        return embeddings if self.parts.second_key is None else self.parts.second_key.embed(texts)

    def embed(self, texts: Sequence[Text]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run the student alone.

        Parameters
        ----------
        texts : sequence of Text
            N texts or pairs.

        Returns
        -------
        tuple of ndarray
            Embeddings x_i (N, d) of length 1 and probabilities ŷ_i (N, C), float32.

        Raises
        ------
        ReAugKDError
            If a text is empty or enormous, or a pair where the model takes single texts, or the other way round.
        """
        check_texts(texts)
        for text in texts:
            if isinstance(text, str) == self.parts.settings.is_pair:
                wanted = "pairs of texts" if self.parts.settings.is_pair else "single texts"
                raise ReAugKDError(f"This model classifies {wanted}; give it those.")
        hidden, probabilities = self.parts.student.encode(texts)
        return normalize(hidden), probabilities

    def predict_proba(
        self,
        texts: Sequence[Text],
        *,
        k: int | None = None,
        retrieval_weight: float | None = None,
        temperature: float | None = None,
    ) -> NDArray[np.float64]:
        """Return the combined class probabilities.

        Parameters
        ----------
        texts : sequence of Text
            N texts or pairs.
        k : int, optional
            Number of neighbours; the chosen one if left out.
        retrieval_weight : float, optional
            λ in the place of the gate's; at 0 the result is the plain student's to the bit, at 1 that of the
            neighbours alone.
        temperature : float, optional
            τ_r of the neighbours' weights.

        Returns
        -------
        (N, C) float64
            Rows sum to 1; the order of the columns is ``classes_``.
        """
        retrieval = self.retrieval.overridden(k, retrieval_weight, temperature)
        embeddings, student = self.embed(texts)
        if not len(texts):
            return np.empty((0, len(self.classes_)))
        if retrieval.needs_memory(student.shape[1], len(self.classes_)):
            retrieved = retrieve(self.memory, self.query_keys(texts, embeddings), retrieval, student.shape[1])
        else:  # neither the second key's encoder nor the search runs for what weighs nothing
            retrieved = Retrieved.nothing(len(texts), len(self.classes_))
        return combine(student, retrieved, retrieval).probabilities

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

    def explain(
        self,
        text: Text,
        *,
        k: int | None = None,
        retrieval_weight: float | None = None,
        temperature: float | None = None,
    ) -> Explanation:
        """Answer one text and show what the answer is made of.

        Parameters
        ----------
        text : Text
            A text or pair.
        k : int, optional
            Number of neighbours.
        retrieval_weight : float, optional
            λ.
        temperature : float, optional
            τ_r.

        Returns
        -------
        Explanation
            Probabilities, neighbours, and each one's share in the answer.
        """
        embeddings, student = self.embed([text])
        retrieval = self.retrieval.overridden(k, retrieval_weight, temperature)
        query_key = self.query_keys([text], embeddings)[0]
        return self.explain_embedding(text, embeddings[0], student[0], retrieval, query_key)

    def explain_embedding(
        self,
        text: Text,
        embedding: NDArray[np.float32],
        student_probabilities: NDArray[np.floating],
        retrieval: RetrievalSettings,
        query_key: NDArray[np.float32] | None = None,
    ) -> Explanation:
        """Answer a text that the student has already embedded: a slider needs no second encoding.

        Parameters
        ----------
        text : Text
            The query, for the record.
        embedding : (d,) float32
            x, as :meth:`embed` gives it.
        student_probabilities : (C,) float
            ŷ, as :meth:`embed` gives it.
        retrieval : RetrievalSettings
            k, λ or the gate, and τ_r.
        query_key : (d',) float32, optional
            What the memory is searched with, as :meth:`query_keys` gives it; found anew if left out.

        Returns
        -------
        Explanation
            Probabilities, neighbours, and each one's share in the answer.
        """
        if query_key is None:
            query_key = self.query_keys([text], embedding[None, :])[0]
        found = retrieve(self.memory, query_key[None, :], retrieval, len(student_probabilities))
        return self.explain_retrieved(text, embedding, student_probabilities, retrieval, found)

    def explain_retrieved(
        self,
        text: Text,
        embedding: NDArray[np.float32],
        student_probabilities: NDArray[np.floating],
        retrieval: RetrievalSettings,
        found: Retrieved,
        soft_labels: NDArray[np.floating] | None = None,
    ) -> Explanation:
        """Answer a text by memories that are already found, such as those that are left when one is struck out.

        Parameters
        ----------
        text : Text
            The query, for the record.
        embedding : (d,) float32
            x.
        student_probabilities : (C,) float
            ŷ.
        retrieval : RetrievalSettings
            λ or the gate; k and τ_r were used to find the memories.
        found : Retrieved
            Of this one query.
        soft_labels : (k, C) float, optional
            Of the neighbours, where they are not those of the memory.

        Returns
        -------
        Explanation
            Probabilities, neighbours, and each one's share in the answer.
        """
        memory = self.memory
        combined = combine(student_probabilities[None, :], found, retrieval)
        probabilities, weight = combined.probabilities[0], float(combined.retrieval_weights[0])
        answer = int(probabilities.argmax())
        soft_labels = (memory.soft_labels[found.numbers[0]] if soft_labels is None else soft_labels).astype(np.float64)
        memory_weights = combined.memory_weights[0]
        shares = memory_weights[answer] * found.weights[0] * soft_labels[:, answer] / probabilities[answer]
        neighbours = []
        rows = memory.rows.iloc[found.numbers[0]].to_dict("records")
        for position, (number, row) in enumerate(zip(found.numbers[0], rows, strict=True)):
            neighbours.append(
                Neighbour(
                    rank=position + 1,
                    number=int(number),
                    id=row["id"],
                    text=row_in_one_line(row),
                    label=row["label"],
                    similarity=float(found.similarities[0, position]),
                    weight=float(found.weights[0, position]),
                    soft_labels=soft_labels[position],
                    share=float(shares[position]),
                    columns={str(name): value for name, value in row.items() if name not in OWN_COLUMNS},
                )
            )
        return Explanation(
            text=text,
            label=self.parts.settings.label_names[answer],
            classes=self.parts.settings.label_names,
            student_probabilities=combined.student_probabilities[0],
            student_vote=combined.student_vote[0],
            retrieved=found.probabilities[0],
            probabilities=probabilities,
            memory_weights=memory_weights,
            student_share=float(
                (1 - memory_weights[answer]) * combined.student_vote[0, answer] / probabilities[answer]
            ),
            neighbours=neighbours,
            retrieval=replace(retrieval, retrieval_weight=weight),
            embedding=embedding,
        )
