"""A memory in a vector database, Milvus, that many machines share: its rows come and go while models answer from it.

Each key has a collection, since a server before 2.4 takes one vector a collection; each holds the rows too, so that one
read finds neighbours with what they say. What the embedded Milvus Lite forgives, a server does not: it may read what
was so some seconds ago, ``insert`` keeps two rows of an id, ``delete`` counts rows that are not there, and what came
after a collection was loaded is searched more slowly.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib.util import find_spec
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError, in_short, quoted, read_as, reason, require
from reaugkd.method.mapped import Found
from reaugkd.method.memory import Memory, parts_of_memory

MOST_NEIGHBOURS = 16_384  # a server finds no more
ROWS_AT_A_TIME = 2_000  # a message is of 64 MB at most
CELLS, PROBES = 1_024, 16  # of each segment's index; a segment is of a gigabyte at most
MOST_SEEN = 100_000  # rows that are kept since they were found
MOST_CLASSES = 4_096  # a server's list is no longer
CONSISTENCIES = ("Strong", "Session", "Bounded", "Eventually")
NAME = re.compile("[A-Za-z_][A-Za-z0-9_]{0,99}")
SAID = ROW, SOFT_LABELS = ["row", "soft_labels"]


class MilvusMemory(Memory):
    """A memory in collections of Milvus: it answers and explains as any other, but its rows are never listed.

    Parameters
    ----------
    uri : str
        A file that ends in ``.db``, which Milvus Lite makes, or the address of a server.
    collection : str
        Begins the names of its collections, one a key: letters, digits and underscores.
    classes : sequence of str
        Names of the model's C classes, in their order; one that came later stands last.
    token : str
        ``user:password`` or an API key, where the server wants one.
    consistency : str
        Of what is read. ``Strong`` sees all that was written; ``Bounded`` waits less, and may be some seconds late.

    Raises
    ------
    ReAugKDError
        If pymilvus is not installed, an argument is wrong, or the database cannot be opened.

    Examples
    --------
    >>> from dataclasses import replace
    >>> shared = MilvusMemory(f"{folder}/memory.db", "toy", model.memory.classes)
    >>> shared.upsert([model.memory])
    >>> answering = replace(model, memory=shared, maps=None)
    >>> answering.predict(["some iron and zinc"])
    array(['metal'], dtype='<U7')
    """

    def __init__(
        self, uri: str, collection: str, classes: Sequence[str], token: str = "", consistency: str = "Strong"
    ) -> None:
        if find_spec("pymilvus") is None:
            raise ReAugKDError("A memory in Milvus needs pymilvus; install it with: pip install 'reaugkd[milvus]'")
        from pymilvus import MilvusClient

        uri, token, collection = (
            read_as(str, *named) for named in ((uri, "uri"), (token, "token"), (collection, "collection"))
        )
        require(bool(NAME.fullmatch(collection)), "collection", quoted(collection), "letters, digits and underscores")
        require(consistency in CONSISTENCIES, "consistency", quoted(consistency), f"one of {', '.join(CONSISTENCIES)}")
        object.__setattr__(self, "classes", read_as(tuple[str, ...], classes, "The list of classes"))
        object.__setattr__(self, "soft_labels", _SoftLabels(self))
        self._arguments = (uri, collection, classes, token, consistency)
        self._prefix, self._consistency = f"{collection}__", consistency
        self._seen: dict[int, dict[str, Any]] = {}
        self._client: Any = self._done(MilvusClient, uri, token=token)
        self._widths: dict[str, int] = {}
        for name in sorted(self._done(self._client.list_collections)):
            if name.startswith(self._prefix):
                fields = self._done(self._client.describe_collection, name)["fields"]
                width = next(field["params"]["dim"] for field in fields if field["name"] == "vector")
                self._widths[name.removeprefix(self._prefix)] = int(width)
                self._done(self._client.load_collection, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return MilvusMemory, self._arguments

    def __getattr__(self, name: str) -> Any:
        if name in ("rows", "teacher_embeddings", "keys"):
            raise ReAugKDError(
                "A memory in Milvus answers and explains, and its rows are not listed: edit it with its own upsert and "
                "remove, and save or examine the model with the memory that it had before."
            )
        raise AttributeError(name)

    def __len__(self) -> int:
        if not self._widths:
            return 0
        return int(self._read("query", next(iter(self._widths)), output_fields=["count(*)"])[0]["count(*)"])

    @property
    def widths(self) -> dict[str, int]:
        """Width of each key."""
        return self._widths

    def upsert(self, batches: Iterable[Memory], *, load: bool = True) -> None:
        """Write rows; one takes the place of a row with the same id.

        Parameters
        ----------
        batches : iterable of Memory
            Rows with the same keys; their classes are the first of this memory's, or all.
        load : bool
            Load a server's collections anew, so that the index finds what was written; meanwhile, for some seconds, no
            one can search. For a few rows False is better: they are found at once, by slower search.

        Raises
        ------
        ReAugKDError
            If a batch has other keys or classes, or an id twice, or the database refuses it; all batches before are
            written then, and it does no harm to write them again.
        """
        for number, batch in enumerate(parts_of_memory(batches), start=1):
            widths = {name: key.shape[1] for name, key in sorted(batch.keys.items())}
            if not self._widths:
                self._create(widths)
            if widths != self._widths or batch.classes != self.classes[: len(batch.classes)]:
                raise ReAugKDError(f"Batch {number} has other classes or keys than the memory; make all by one model.")
            if (twice := batch.rows["id"].duplicated()).any():
                raise ReAugKDError(
                    f"Batch {number} has the id {quoted(batch.rows['id'][twice].iloc[0])} twice; give each row its own."
                )
            for start in range(0, len(batch), ROWS_AT_A_TIME):
                self._write(batch.part(np.arange(start, min(start + ROWS_AT_A_TIME, len(batch)))))
        is_lite = self._arguments[0].endswith(".db")  # it indexes by itself, and may read its own file half-written
        for name in self._widths if load and not is_lite else ():
            for step in ("flush", "release_collection", "load_collection"):
                self._done(getattr(self._client, step), self._prefix + name)

    def _create(self, widths: dict[str, int]) -> None:
        from pymilvus import DataType

        for name, width in widths.items():
            schema = self._client.create_schema(auto_id=False)
            schema.add_field("id", DataType.INT64, is_primary=True)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=width)
            schema.add_field(ROW, DataType.JSON)
            schema.add_field(SOFT_LABELS, DataType.ARRAY, element_type=DataType.FLOAT, max_capacity=MOST_CLASSES)
            index = self._client.prepare_index_params()
            # A graph (HNSW, which Milvus would choose) loses neighbours where classes are nearly points.
            index.add_index("vector", index_type="IVF_FLAT", metric_type="IP", params={"nlist": CELLS})
            self._done(self._client.create_collection, self._prefix + name, schema=schema, index_params=index)
        self._widths = widths

    def _write(self, batch: Memory) -> None:
        numbers, rows = _numbers(batch.rows["id"]), json.loads(batch.rows.to_json(orient="records"))
        for name, key in batch.keys.items():
            columns = {"id": numbers, "vector": list(key), ROW: rows, SOFT_LABELS: batch.soft_labels.tolist()}
            entries = [dict(zip(columns, entry, strict=True)) for entry in zip(*columns.values(), strict=True)]
            self._done(self._client.upsert, self._prefix + name, entries)

    def remove(self, ids: Sequence[str]) -> None:
        """Remove rows.

        Parameters
        ----------
        ids : sequence of str
            Their ids.

        Raises
        ------
        ReAugKDError
            If a row is not there, or none would be left; nothing is removed then.
        """
        numbers = _numbers(ids := read_as(list[str], ids, "ids"))
        there = self._fetched(numbers)  # the server would count a row that is not there as removed
        if unknown := [name for name, number in zip(ids, numbers, strict=True) if number not in there]:
            raise ReAugKDError(f"The memory has no row {quoted(unknown[0])}; look for its id.")
        if len(there) >= len(self):
            raise ReAugKDError("A memory needs at least one row; leave one.")
        for name in self._widths if numbers else ():
            self._done(self._client.delete, self._prefix + name, ids=numbers)

    def search(self, key: str, queries: NDArray[np.floating], k: int) -> Found:
        """Find the k nearest memories of each query, as :meth:`Memory.search` does; a number here stands for an id."""
        queries, k = self._checked(key, queries, k)
        require(k <= MOST_NEIGHBOURS, "k", quoted(k), f"at most {MOST_NEIGHBOURS:,} in Milvus")
        if not np.isfinite(queries).all():
            raise ReAugKDError(f"Queries of the key {key!r} are not all finite; train or copy the model again.")
        size = max(1, MOST_NEIGHBOURS // k)
        blocks = [queries[start : start + size] for start in range(0, len(queries), size)]
        for probes in (PROBES, CELLS):  # the cells that were read may hold fewer
            asked = {"limit": k, "output_fields": SAID, "search_params": {"params": {"nprobe": probes}}}
            found = [hits for block in blocks for hits in self._read("search", key, data=list(block), **asked)]
            if (fewest := min(map(len, found), default=k)) == k:
                break
        if len(self._seen) > MOST_SEEN:
            self._seen.clear()
        self._seen |= {hit["id"]: hit["entity"] for hit in chain(*found)}
        similarities, numbers = ([hit[what] for hits in found for hit in hits[:fewest]] for what in ("distance", "id"))
        shape = (len(queries), fewest)
        return np.asarray(similarities, np.float32).reshape(shape), np.asarray(numbers, np.int64).reshape(shape)

    def rows_at(self, numbers: Sequence[int] | NDArray[np.integer]) -> pd.DataFrame:
        """Return some rows by the numbers that a search found, in this order."""
        return pd.DataFrame([one[ROW] for one in self._of(read_as(list[int], np.asarray(numbers).tolist(), "numbers"))])

    def _of(self, numbers: list[int]) -> list[dict[str, Any]]:
        """Return entries by their numbers, each as it was when a search found it last."""
        seen = {number: self._seen.get(number) for number in numbers}
        entries = seen | self._fetched([number for number, entry in seen.items() if entry is None])
        found = [entry for number in numbers if (entry := entries[number]) is not None]
        if len(found) < len(numbers):
            raise ReAugKDError("Rows that the memory found were removed since; ask again.")
        return found

    def _fetched(self, numbers: list[int]) -> dict[int, dict[str, Any]]:
        """Return those entries that are there now, by their numbers."""
        found: dict[int, dict[str, Any]] = {}
        for start in range(0, len(numbers), ROWS_AT_A_TIME):
            some = numbers[start : start + ROWS_AT_A_TIME]
            entries = self._read("get", next(iter(self._widths)), ids=some, output_fields=SAID)
            found |= {entry["id"]: entry for entry in entries}
        return found

    def _read(self, what: str, key: str, **arguments: Any) -> Any:
        asked = getattr(self._client, what)
        return self._done(asked, self._prefix + key, consistency_level=self._consistency, **arguments)

    def _done(self, what: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call the database, and say in a sentence where it refuses."""
        from pymilvus.exceptions import MilvusException

        try:
            return what(*arguments, **named)
        except (MilvusException, UnicodeEncodeError) as error:
            said = in_short(error.message).rstrip(".") if isinstance(error, MilvusException) else reason(error)
            raise ReAugKDError(
                f"The database of the memory {self._arguments[1]!r} refuses: {said}; see whether it runs."
            ) from error


@dataclass(frozen=True)
class _SoftLabels:
    """Soft labels (M, C) of which those of a few rows are read."""

    memory: MilvusMemory

    @property
    def shape(self) -> tuple[None, int]:
        return None, len(self.memory.classes)  # how many rows there are changes

    def __getitem__(self, numbers: NDArray[np.integer]) -> NDArray[np.float32]:
        wanted, order = np.unique(numbers, return_inverse=True)
        soft_labels = np.zeros((len(wanted), self.shape[1]), dtype=np.float32)
        for row, entry in zip(soft_labels, self.memory._of(wanted.tolist()), strict=True):
            if len(said := entry[SOFT_LABELS]) > len(row):
                raise ReAugKDError(f"The memory has {len(said)} classes, but was opened with {len(row)}; give it all.")
            row[: len(said)] = said  # a class that came later is no class of an older row
        return soft_labels[order.reshape(np.shape(numbers))]


def _numbers(ids: Iterable[str]) -> list[int]:
    """Return the number of each id: 63 bits of a hash, so that whoever writes or removes a row names the same."""
    names = (str(name).encode("utf-8", "surrogatepass") for name in ids)
    return [int.from_bytes(blake2b(name, digest_size=8).digest()) >> 1 for name in names]
