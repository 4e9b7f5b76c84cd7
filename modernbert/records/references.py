"""What the record of one run says of another run by its name, under a new name."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from modernbert.records.record import RunRecord


def with_renamed(record: RunRecord, old: str, new: str) -> RunRecord:
    """Return a record in which the run `old` is called `new`; the same if it does not name that run.

    A model that was found in the run, the request for it, the teacher, and the folds are renamed. Scores and
    other runs' names stay as they are.
    """
    plain = record.as_dict()
    made = _with_models(plain, old, new)
    for asked, found in (("model", "model"), ("init_from", "init")):
        if made.get("request") and plain["request"].get(asked) == old and made[found] != plain[found]:
            made["request"][asked] = new
    _rename_teacher(made, old, new)
    if old in record.folds:
        made["folds"] = [new if name == old else name for name in record.folds]
        made["notes"] = [_in_words(note, old, new) for note in record.notes]
    return record if made == plain else type(record).model_validate_json(json.dumps(made))


def with_own_name(record: RunRecord, old: str, new: str) -> RunRecord:
    """Return the record of the run that was called `old` and is now called `new`."""
    made = record.as_dict()
    made["former_names"] = [*(name for name in record.former_names if name != new), old]
    if made.get("request") and made["request"].get("name") == old:
        made["request"]["name"] = new
    if record.folds:  # its model is the run's own
        made["model"] |= {key: new for key in ("name", "revision") if made["model"][key] == old}
    return type(record).model_validate_json(json.dumps(made))


def _with_models(value: Any, old: str, new: str) -> Any:
    """Return plain data in which every model that was found in the run has the new name."""
    if isinstance(value, (list, tuple)):
        return [_with_models(one, old, new) for one in value]
    if not isinstance(value, dict):
        return value
    made = {key: _with_models(one, old, new) for key, one in value.items()}
    found_in = str(made.get("found_in", ""))
    if found_in.startswith(f"run {old} and "):  # a cross-validation's
        made["found_in"] = found_in.replace(old, new, 1)
        made["training"] = _of_run(made.get("training"), old, new)
    if not found_in.startswith("run ") or Path(found_in.removeprefix("run ")).name != old:
        return made
    made["found_in"] = f"run {Path(found_in.removeprefix('run ')).with_name(new)}"
    made |= {key: new for key in ("name", "revision", "weights") if made.get(key) == old}
    if made.get("folder"):
        made["folder"] = str(Path(made["folder"]).parent.with_name(new) / Path(made["folder"]).name)
    made["training"] = _of_run(made.get("training"), old, new)
    return made


def _of_run(training: Any, old: str, new: str) -> Any:
    return training | {"run": new} if training and training["run"] == old else training


def _rename_teacher(made: dict[str, Any], old: str, new: str) -> None:
    request, config = made.get("request") or {}, made["config"]
    places = [config.get("distillation"), request, request.get("settings"), made["data"].get("teacher")]
    for place, key in zip(places, ("teacher", "teacher", "teacher", "name"), strict=True):
        if place and place.get(key) == old:
            place[key] = new


def _in_words(text: str, old: str, new: str) -> str:
    return re.sub(rf"(?<![\w.-]){re.escape(old)}(?![\w.-]*\w)", lambda found: new, text)
