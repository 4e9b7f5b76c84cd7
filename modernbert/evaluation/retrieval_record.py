"""What is kept of an evaluation of retrieval."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from modernbert.data.collections import LoadedCollection
from modernbert.evaluation.embed import Embedder, Estimate
from modernbert.evaluation.protocols import Protocol
from modernbert.evaluation.ranking import MEASURES, MRR, RankingScores
from modernbert.files import write_json, write_jsonl
from modernbert.model.device import describe_hardware
from modernbert.model.locate import ModelSource
from modernbert.records.data import Data, StoredTask
from modernbert.records.record import RetrievalRecord, now
from modernbert.records.scores import SearchPart, SplitScores
from modernbert.records.settings import SearchSettings
from modernbert.records.training import StoredAttention, StoredMachine
from modernbert.runs import RunStore, write_run
from modernbert.version import versions

MEASURED = {*MEASURES, MRR}


@dataclass(frozen=True)
class SystemScores:
    """One way of searching and how well it did.

    Attributes:
        parts: what it searches with: `encoder`, `bm25`, `reranker`.
    """

    system: str
    ranking: RankingScores
    note: str = ""
    parts: tuple[SearchPart, ...] = ("encoder",)


@dataclass(frozen=True)
class RetrievalResult:
    """Every system's scores on one collection, and the run that keeps them."""

    name: str
    task: str
    split: str
    model: str
    protocol: Protocol
    systems: tuple[SystemScores, ...]
    truncated: float
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, without the queries' values."""
        return {**asdict(self), "systems": [scores.as_dict() for scores in self.scores]}

    @property
    def scores(self) -> tuple[SplitScores, ...]:
        """What the run keeps of every system."""
        return tuple(
            SplitScores(
                split=self.split, system=s.system, parts=s.parts, note=s.note, scores=s.ranking.scores
            )
            for s in self.systems
        )


def keep_result(
    result: RetrievalResult,
    loaded: LoadedCollection,
    embedder: Embedder,
    store: RunStore,
    *,
    passages: int,
    estimate: Estimate,
    reranker: ModelSource | None = None,
) -> RetrievalResult:
    """Write the run: its record, every query's figures, and the scores as MTEB writes them.

    It takes the result's name, or the next one that is free; the result is returned with that.

    The encoder's speed is that of the estimate, measured on a sample of the texts at their own lengths:
    documents' vectors may come from the cache.
    """
    source = embedder.source
    config = asdict(embedder.settings) | {"protocol": asdict(result.protocol), "passages": passages}
    record = RetrievalRecord(
        kind="retrieval",
        status="finished",
        created=now(),
        task=StoredTask(name=result.task, kind="retrieval", labels=(), metrics=tuple(MEASURES)),
        model=source.record(),
        reranker=reranker.record() if reranker else None,
        seed=source.training.seed if source.training else None,
        config=SearchSettings.model_validate(config),
        data=Data(splits={result.split: loaded.record()}),
        machine=StoredMachine.model_validate(asdict(embedder.machine)),
        attention=StoredAttention.model_validate(asdict(embedder.attention)),
        inference={
            "examples_per_second": estimate.texts / max(estimate.seconds, 1e-9),
            "tokens_per_second": estimate.tokens / max(estimate.seconds, 1e-9),
        },
        truncated=result.truncated,
        results=result.scores,
        notes=result.notes,
        hardware=describe_hardware(),
        versions=versions(),
    )
    with store.new_run(result.name) as folder:
        write_jsonl(folder / "scores.jsonl", _rows(result))
        write_json(folder / "mteb.json", _mteb_result(result, loaded))
        write_run(folder, record)
    return replace(result, name=folder.name)


def _rows(result: RetrievalResult) -> Iterator[dict[str, Any]]:
    for system in result.systems:
        for row in system.ranking.rows(result.split):
            rounded = {name: round(value, 6) if name in MEASURED else value for name, value in row.items()}
            yield rounded | {"system": system.system}


def _mteb_result(result: RetrievalResult, loaded: LoadedCollection) -> dict[str, Any]:
    """Return the encoder's scores in the format of MTEB's result files."""
    dense = result.systems[0].ranking
    scores = {score.metric: round(score.value, 6) for score in dense.scores}
    scores["map_at_1000"] = scores.pop("map")
    row = {**scores, "main_score": scores["ndcg_at_10"], "hf_subset": "default", "languages": ["eng-Latn"]}
    return {
        "task_name": result.task,
        "dataset_revision": loaded.revision,
        "mteb_version": None,
        "scores": {result.split: [row]},
        "evaluation_time": None,
        "kg_co2_emissions": None,
    }
