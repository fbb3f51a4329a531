"""Step 4: the knowledge base, the teacher's memory of the training texts, searched with FAISS."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import faiss
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reaugkd.calibration import are_probabilities
from reaugkd.encoders import normalize
from reaugkd.errors import ReAugKDError

# HNSW gets lost among classes that have collapsed to points: of banking77 enlarged to 72,024 memories, retrieval alone
# scores 89.6 % by HNSW and 92.8 % exactly; and exact search of 200,000 keys of width 384 takes 12 ms on one thread.
MAX_EXACT = 1_000_000


@dataclass(frozen=True)
class KnowledgeBase:
    """Memories: a key to find each by, its soft labels, and its text; validated when made.

    Parameters
    ----------
    rows : DataFrame
        One row a memory: ``id``, ``text``, ``label`` (name of the gold class), ``text_pair`` for pairs, and
        further columns such as a topic.
    embeddings : (N, d) float32
        Keys: ``teacher_embeddings`` z_i. Scaled to length 1 when made.
    soft_labels : (N, C) float32
        The teacher's class probabilities ȳ_i.
    exact : bool, optional
        Search exactly, or by HNSW, which is approximate; exact up to 1,000,000 rows if left out.
    """

    rows: pd.DataFrame
    embeddings: NDArray[np.float32]
    soft_labels: NDArray[np.float32]
    exact: bool | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not len(self.rows) == len(self.embeddings) == len(self.soft_labels):
            raise ReAugKDError(
                f"A knowledge base needs as many rows ({len(self.rows)}) as embeddings ({len(self.embeddings)}) "
                f"and soft labels ({len(self.soft_labels)}); make them of the same texts."
            )
        if not len(self.rows):
            raise ReAugKDError("A knowledge base needs at least one row; give it texts.")
        if not np.isfinite(self.embeddings).all():
            raise ReAugKDError(
                "An embedding of the knowledge base is not a finite number; train or copy the model again."
            )
        if not are_probabilities(self.soft_labels):
            raise ReAugKDError("Soft labels of the knowledge base do not sum to 1; train or copy the model again.")
        object.__setattr__(self, "embeddings", normalize(self.embeddings))
        object.__setattr__(self, "soft_labels", np.asarray(self.soft_labels, dtype=np.float32))
        if self.exact is None:
            object.__setattr__(self, "exact", len(self.rows) <= MAX_EXACT)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def index(self) -> Any:
        """The FAISS index over the keys, built at the first search; a product of rows of length 1 is their cosine."""
        width = self.embeddings.shape[1]
        if self.exact:
            index: Any = faiss.IndexFlatIP(width)
        else:
            index = faiss.IndexHNSWFlat(width, 32, faiss.METRIC_INNER_PRODUCT)
            index.hnsw.efConstruction = 80
        index.add(self.embeddings)
        return index

    def search(self, queries: NDArray[np.floating], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the k nearest memories of each query.

        Parameters
        ----------
        queries : (N, d) float
            Embeddings of any length; they are scaled to length 1.
        k : int
            How many; where fewer memories exist, all of them.

        Returns
        -------
        tuple of ndarray
            Cosine similarities (N, k) float32, the highest first, and row numbers (N, k) int64. Where an
            approximate search finds fewer, the similarity is minus infinity and the row number that of the nearest.

        Raises
        ------
        ReAugKDError
            If k is below 1 or the queries have another width.
        """
        if k < 1:
            raise ReAugKDError(f"k is {k}; it must be at least 1.")
        queries = normalize(queries)
        if queries.ndim != 2 or queries.shape[1] != self.embeddings.shape[1]:
            wanted = self.embeddings.shape[1]
            raise ReAugKDError(
                f"Queries of shape {queries.shape} do not fit keys of width {wanted}; use the same student."
            )
        k = min(k, len(self))
        if not self.exact:
            self.index.hnsw.efSearch = max(64, 2 * k)
        similarities, numbers = self.index.search(queries, k)
        missing = numbers < 0  # FAISS's sign for "found fewer"; as a row number it would mean the last row
        return np.where(missing, -np.inf, similarities), np.where(missing, numbers[:, :1], numbers)
