"""The models of a server, each with its batcher: from texts to answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from modernbert.errors import MbertError
from modernbert.model.embedding import TextKind
from modernbert.serving.batcher import Batcher, Closed, QueueFull, TooLate
from modernbert.serving.limits import Limits
from modernbert.serving.logs import TOLD
from modernbert.serving.metrics import Metrics
from modernbert.serving.models import Ability, Reading, Served, Text
from modernbert.serving.refusals import Refused
from modernbert.serving.searching import Searching
from modernbert.serving.shadow import Shadow
from modernbert.serving.turns import Turns
from modernbert.wording import counted

# Characters that are tokenised at once: milliseconds.
PIECE = 20_000
# Characters that may wait for that before another request is refused: about a second.
UNREAD = 1 << 20


@dataclass(frozen=True)
class Answered:
    """What a model gave for each text of a request.

    Attributes:
        outputs: in the order of the texts.
        truncated: places of the texts of which the model did not read the end, from 0.
        tokens: that the model read.
    """

    outputs: list[Any]
    truncated: list[int]
    tokens: int


class Service:
    """Answers texts: chooses the model, tokenises, and waits for the batches."""

    def __init__(self, models: Sequence[Served], limits: Limits, metrics: Metrics) -> None:
        """Start a batcher for each model; they take turns."""
        self.models = {model.name: model for model in models}
        self.limits, self.metrics = limits, metrics
        self.turn = Turns()
        # One thread tokenises: a tokenizer is no matter for two at once, and many threads hold on to memory.
        self.reader = ThreadPoolExecutor(1, "tokenise")
        self.unread = 0
        self.batchers = {model.name: self.batcher_of(model) for model in models}
        self.shadow: Shadow | None = None
        self.searching: Searching | None = None
        self.is_closing = False

    def batcher_of(self, model: Served) -> Batcher:
        """Return a new batcher for a model."""
        return Batcher(
            model.run,
            max_tokens=self.limits.batch_tokens or model.max_tokens,
            max_waiting=self.limits.max_waiting,
            wait_seconds=self.limits.wait_ms / 1000,
            turn=self.turn,
            on_batch=self.metrics.on_batch(model.name),
        )

    @property
    def is_ready(self) -> bool:
        """Does it take requests, and has each model room for them?"""
        full = self.unread > UNREAD or any(batcher.is_full for batcher in self.batchers.values())
        return not self.is_closing and not full

    def choose(self, name: str | None, ability: Ability) -> Served:
        """Return the model that a request names, or the only one that can do it.

        Raises:
            Refused: there is none, there are several, or this one cannot.
        """
        able = [model for model in self.models.values() if model.ability == ability]
        if name is not None:
            if (chosen := self.models.get(name)) is None:
                raise Refused(404, f"there is no such model here; there are: {', '.join(self.models)}")
            if chosen.ability != ability:
                raise Refused(400, _cannot(chosen, ability))
            return chosen
        if len(able) == 1:
            return able[0]
        if able:
            raise Refused(400, f"several models can do this: name one as 'model' ({_names(able)})")
        if len(self.models) == 1:
            raise Refused(400, _cannot(next(iter(self.models.values())), ability))
        raise Refused(400, f"no model here can {ability}")

    async def answer(self, model: Served, texts: Sequence[Text], kind: TextKind = "document") -> Answered:
        """Return what a model gives for texts.

        Raises:
            Refused: too many texts, or the wrong number of them together; the queue is full; it took too
                long; the server is stopping; or what the model gives are not numbers.
        """
        until = time.monotonic() + self.limits.timeout
        self._require_fit(model, texts)
        batcher = self.batchers[model.name]
        if batcher.is_full:
            raise _full()
        readings = await self._read(model, texts, kind)
        outputs = await self.run(batcher, readings, [reading.count for reading in readings], until)
        cut = [place for place, reading in enumerate(readings) if reading.is_cut(model.max_length)]
        self.metrics.texts.labels(model.name).inc(len(texts))
        self.metrics.truncated.labels(model.name).inc(len(cut))
        TOLD.get().update(model=model.name, texts=len(texts), tokens=_tokens(readings), truncated=len(cut))
        if self.shadow is not None and model is self.shadow.served:
            self.shadow.watch(texts, outputs)
        return Answered(outputs, cut, _tokens(readings))

    async def _read(self, model: Served, texts: Sequence[Text], kind: TextKind) -> list[Reading]:
        """Tokenise texts. Raises Refused where too many characters wait for that already."""
        if self.unread > UNREAD:
            raise _full()
        size = sum(len(part) for text in texts for part in text)
        loop = asyncio.get_running_loop()
        readings: list[Reading] = []
        self.unread += size
        try:
            for some in _pieces(texts):
                readings += await loop.run_in_executor(self.reader, model.read, some, kind)
        finally:
            self.unread -= size
        return readings

    async def run(
        self, batcher: Batcher, values: Sequence[Any], tokens: Sequence[int], until: float
    ) -> list[Any]:
        """Wait for a batcher's answers, until a time of `time.monotonic()`. Raises Refused."""
        try:
            future = asyncio.wrap_future(batcher.submit(values, tokens, until))
            return await asyncio.wait_for(future, max(0.0, until - time.monotonic()))
        except QueueFull:
            raise _full() from None
        except Closed:
            raise Refused(503, "the server is stopping", retry_after=5) from None
        except (TooLate, TimeoutError):
            raise Refused(504, f"no answer within {self.limits.timeout:g} seconds") from None
        except MbertError as error:
            raise Refused(500, error.what) from None

    def _require_fit(self, model: Served, texts: Sequence[Text]) -> None:
        if len(texts) > self.limits.max_texts:
            raise Refused(
                413, f"{counted(len(texts), 'text')}; a request has at most {self.limits.max_texts:,}"
            )
        for place, text in enumerate(texts):
            if len(text) != model.num_texts:
                wanted = "pairs of texts: give lists of two" if model.num_texts == 2 else "one text at a time"
                raise Refused(400, f"text {place}: {model.name} reads {wanted}")

    def close(self) -> None:
        """Answer what was taken, and take no more."""
        self.is_closing = True
        self.reader.shutdown()
        for batcher in self.batchers.values():
            batcher.close()
        if self.shadow is not None:
            self.shadow.close()
        if self.searching is not None:
            self.searching.close()


def _pieces(texts: Sequence[Text]) -> Iterator[Sequence[Text]]:
    """Divide a request, so that others are tokenised between its parts."""
    start, size = 0, 0
    for place, text in enumerate(texts):
        size += sum(map(len, text))
        if size >= PIECE or place == len(texts) - 1:
            yield texts[start : place + 1]
            start, size = place + 1, 0


def _full() -> Refused:
    return Refused(429, "too many texts wait already", retry_after=1)


def _tokens(readings: Sequence[Reading]) -> int:
    return sum(reading.count for reading in readings)


def _names(models: Sequence[Served]) -> str:
    return ", ".join(model.name for model in models)


def _cannot(model: Served, ability: Ability) -> str:
    """Say what a model does instead."""
    does = {
        "predict": "it predicts: POST /predict",
        "embed": "it gives vectors: POST /embed or /v1/embeddings",
        "rerank": "it orders documents: POST /rerank",
    }
    return f"{model.name} cannot {ability}; {does[model.ability]}"
