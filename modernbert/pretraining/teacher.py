"""A sentence encoder's vectors of every piece of a corpus: what a smaller encoder learns to give.

Shape suffixes: N pieces, S the teacher's vector size, D the student's.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch
from torch.nn import functional as F

from modernbert.activity import phase
from modernbert.data.tokens import Tokens
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.hits import unit
from modernbert.evaluation.vectors import SHARD, VectorCache
from modernbert.kept import kept_array
from modernbert.places import make_folder, no_space_is_an_error, own_cache
from modernbert.pretraining.store import Pieces

# Vectors that the directions are found from: each direction has hundreds of them.
SAMPLE = 2**16


@dataclass(frozen=True)
class PieceTexts(Sequence[str]):
    """The texts of pieces, decoded when they are read, so that a large corpus is never whole in memory."""

    pieces: Pieces
    tokenizer: Any

    def __len__(self) -> int:
        return len(self.pieces)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        """Return one text, or those of a slice, without the special tokens around them."""
        if isinstance(place, int):
            if place >= len(self):
                raise IndexError(place)
            return self[place : place + 1][0]
        ids = [self.pieces[number][1:-1].tolist() for number in range(*place.indices(len(self)))]
        texts: list[str] = self.tokenizer.backend_tokenizer.decode_batch(ids, skip_special_tokens=False)
        return texts

    def __iter__(self) -> Iterator[str]:
        """Decode many at a time: one by one takes three times as long."""
        for start in range(0, len(self), SHARD):
            yield from self[start : start + SHARD]


@dataclass(frozen=True)
class Targets:
    """What a student's vector of each piece should be; of length 1, in half precision, on disk."""

    vectors_ND: np.ndarray
    projection_SD: np.ndarray

    @classmethod
    def projected(cls, shards: Iterable[np.ndarray], projection_SD: np.ndarray) -> Targets:
        """Return the teacher's vectors in the student's space, in a file that lasts as long as the process.

        Raises:
            DiskFull, BadOption: the file cannot be written.
        """
        folder, rows = own_cache(), 0
        make_folder(folder)
        with no_space_is_an_error(folder / "targets"), tempfile.TemporaryFile(dir=folder) as file:
            for vectors_NS in shards:
                vectors_ND = unit(vectors_NS.astype(np.float32) @ projection_SD)
                file.write(vectors_ND.astype(np.float16).tobytes())
                rows += len(vectors_ND)
            file.flush()
            # The map outlives the handle, and the file lives as long as the map.
            found_ND = np.memmap(file, np.float16, "r", shape=(rows, projection_SD.shape[1]))
        return cls(found_ND, projection_SD)

    def of(self, numbers: np.ndarray) -> torch.Tensor:
        """Return the targets of these pieces, fp32, shape (N, D)."""
        return F.normalize(torch.from_numpy(self.vectors_ND[numbers].astype(np.float32)), dim=1)


@phase("the teacher reads the corpus")
def teach(
    teacher: Embedder,
    splits: dict[str, Pieces],
    tokenizer: Any,
    size: int,
    corpus: str,
    check_stop: Callable[[], None] = lambda: None,
) -> dict[str, Targets]:
    """Return each split's targets. The teacher's vectors are kept: what is there is not made again.

    Args:
        teacher: the sentence encoder.
        splits: the pieces of each split; the first one gives the projection.
        tokenizer: the student's, that made the pieces.
        size: D.
        corpus: a name that no other texts have.
        check_stop: called between parts of the corpus; may raise.
    """

    def run(tokens: Tokens) -> np.ndarray:
        check_stop()
        return teacher.run(tokens)

    def read(split: str, pieces: Pieces) -> list[np.ndarray]:
        texts, content = PieceTexts(pieces, tokenizer), f"{split} of {corpus}"
        return cache.vectors(teacher.key, texts, run, prepare=teacher.tokens_of, content=content)

    cache = VectorCache.default()
    shards = {split: read(split, pieces) for split, pieces in splits.items()}
    projection_SD = _kept_projection(next(iter(shards.values())), size, teacher.key)
    return {split: Targets.projected(vectors, projection_SD) for split, vectors in shards.items()}


def projection(vectors_NS: np.ndarray, size: int) -> np.ndarray:
    """Return the map from the teacher's space to one of `size` numbers that keeps dot products best; (S, D).

    To fewer numbers: the leading eigenvectors of the vectors' second moments (the Eckart-Young theorem).
    To as many or more: a fixed rotation, which keeps every dot product.
    """
    own = vectors_NS.shape[1]
    if size >= own:
        normal_DS = np.random.default_rng(0).standard_normal((size, own))
        return np.linalg.qr(normal_DS)[0].T.astype(np.float32)
    moments_SS = vectors_NS.T.astype(np.float64) @ vectors_NS
    _, directions_SS = np.linalg.eigh(moments_SS)
    leading_SD = directions_SS[:, ::-1][:, :size]
    largest_D = np.abs(leading_SD).argmax(axis=0)
    signs_D = np.sign(leading_SD[largest_D, np.arange(size)])
    return np.asarray(leading_SD * signs_D, np.float32)


def _kept_projection(shards: Sequence[np.ndarray], size: int, key: dict[str, Any]) -> np.ndarray:
    """Return the projection. It is kept: a run that is resumed must find the same bits."""
    sample_NS = np.concatenate(shards[: -(-SAMPLE // SHARD)])
    content = hashlib.sha256(np.ascontiguousarray(sample_NS).tobytes()).hexdigest()
    return kept_array(own_cache() / "projections", [size, key, content], lambda: projection(sample_NS, size))
