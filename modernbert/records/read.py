"""Read records, of this format and of older ones, and describe them to other programs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from modernbert.errors import BadRun
from modernbert.reading import checked, checked_json
from modernbert.records.base import Part
from modernbert.records.record import (
    FORMAT,
    BaselineRecord,
    EvaluateRecord,
    FinetuneRecord,
    PretrainRecord,
    RetrievalRecord,
    RunRecord,
)
from modernbert.settings.forms import upgraded

# Of each older format, what makes a record of the next one. Format 1 had a training's settings by name.
MIGRATIONS = {1: upgraded}
KINDS: dict[str, type[RunRecord]] = {
    "finetune": FinetuneRecord,
    "pretrain": PretrainRecord,
    "evaluate": EvaluateRecord,
    "retrieval": RetrievalRecord,
    "baseline": BaselineRecord,
}
AnyRecord = Annotated[
    FinetuneRecord | PretrainRecord | EvaluateRecord | RetrievalRecord | BaselineRecord,
    Field(discriminator="kind"),
]


class _Head(Part):
    kind: Literal["finetune", "pretrain", "evaluate", "retrieval", "baseline"]


def read_record(written: dict[str, Any], where: str) -> RunRecord:
    """Check and return a record of this format, or of an older one.

    Args:
        written: the parsed JSON.
        where: the file, for messages.

    Raises:
        BadRun: something is missing or cannot be (the message names the key), or the format is unknown.
    """
    while (found := written.get("format")) != FORMAT:
        if not isinstance(found, int) or isinstance(found, bool) or found not in MIGRATIONS:
            raise BadRun(
                f"the run has format {found!r:.50}; this version of mbert reads formats 1 to {FORMAT}",
                where=where,
                fix="Use the version of mbert that wrote it (see `versions` in the file).",
            )
        written = MIGRATIONS[found](written)
    kind = checked(_Head, written, where=where, error=BadRun).kind
    return checked_json(KINDS[kind], written, where=where, error=BadRun)


class _WithoutTitles(GenerateJsonSchema):
    """A field's title would be its name once more."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def record_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of `run.json`."""
    adapter: TypeAdapter[Any] = TypeAdapter(AnyRecord)
    described = adapter.json_schema(schema_generator=_WithoutTitles)
    return {"$schema": _WithoutTitles.schema_dialect, **described}
