"""Step 6: answer with the student and the teacher's memory; no teacher runs."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import numpy as np
import pandas as pd
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError
from reaugkd.method.answers import Answers, EncodedTexts, answer
from reaugkd.method.memory import Memory
from reaugkd.method.pool import Pool
from reaugkd.model.explanation import Explanation, explain
from reaugkd.model.folder import ModelParts, read_model, write_model
from reaugkd.networks.weights import hub_is_reachable, is_hub_name
from reaugkd.texts import Text, check_texts, label_text, texts_of


class ReAugKDClassifier:
    """A trained student with the teacher's memory.

    Parameters
    ----------
    parts : ModelParts
        What a model's folder holds; :func:`reaugkd.recipe.train` makes one, :meth:`from_pretrained` loads one.

    Notes
    -----
    A model can be pickled. A process that is forked after a model has answered waits for ever, as torch's own models do
    there: start workers by ``spawn``, or call ``torch.set_num_threads(1)`` before the first answer.

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
        """Write the model as a folder laid out as a Hugging Face repository; see :mod:`reaugkd.model.folder`."""
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
        return np.asarray(self.memory.classes)

    @property
    def pool(self) -> Pool:
        """How student and memory make one answer, as it was chosen on held-out rows."""
        return self.parts.pool

    @property
    def memory(self) -> Memory:
        """The memory, which all keys search."""
        return self.parts.memory

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
        return self._encoded(texts, rows, list(self.parts.keys))

    def _encoded(self, texts: Sequence[Text], rows: pd.DataFrame | None, keys: list[str]) -> EncodedTexts:
        texts = check_texts(texts)
        for text in texts:
            if isinstance(text, str) == self.parts.settings.is_pair:
                wanted = "pairs of texts" if self.parts.settings.is_pair else "single texts"
                raise ReAugKDError(f"This model classifies {wanted}; give it those.")
        return EncodedTexts.of(self.parts.student, {name: self.parts.keys[name] for name in keys}, texts, rows)

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
        if rows.empty:
            raise ReAugKDError("There are no rows to evaluate on; give a table with at least one.")
        names = set(self.memory.classes)
        rows = rows.assign(label=[label if label in names else label_text(label) for label in rows["label"]])
        unknown = sorted(set(rows["label"]) - names)
        if unknown:
            raise ReAugKDError(
                f"The model has no class {unknown[0]!r}; its classes are {', '.join(self.memory.classes)}."
            )
        teacher = None
        if "teacher_soft_labels" in rows.columns:
            teacher = np.stack(rows["teacher_soft_labels"].to_list()).astype(np.float32)
            rows = rows.drop(columns="teacher_soft_labels")
        encoded = self.encode(texts_of(rows, self.parts.settings.is_pair), rows.reset_index(drop=True))
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
        rows = self.parts.evaluation_rows
        if rows is None:
            raise ReAugKDError("The model carries no evaluation rows; train it again, or give rows with gold labels.")
        return rows[rows["split"].isin(list(splits))].reset_index(drop=True)

    def answer(self, encoded: EncodedTexts, pool: Pool | None = None) -> Answers:
        """Answer texts that are encoded, by the model's memory; no network runs.

        Parameters
        ----------
        encoded : EncodedTexts
            By :meth:`encode` or :meth:`encode_rows`.
        pool : Pool, optional
            In the place of the chosen one, such as ``model.pool.overridden(k=4)``.

        Returns
        -------
        Answers
            The answers, with what every key found.
        """
        return answer(encoded, self.memory, pool or self.pool)

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
            λ in the place of the fitted one; at 0 the classes have the plain student's order, at 1 the memory's.
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
        # No key is embedded or searched that has no say.
        needed = pool.searched(self.parts.student.classifier.out_features, len(self.classes_))
        encoded = self._encoded(texts, None, needed)
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
