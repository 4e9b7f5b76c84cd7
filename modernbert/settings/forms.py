"""The two forms in which settings are kept, and the only place where one becomes the other.

By name: `{"lora_rank": 8}`, which is how options, recipes and requests say them. In sections:
`{"lora": {"rank": 8}}`, which is how TOML files and records of runs keep them. Older TOML
files and records of format 1 hold them by name.
"""

from __future__ import annotations

import difflib
import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modernbert.errors import BadData, BadOption
from modernbert.reading import read_bytes
from modernbert.settings.config import every_setting


@functools.cache
def _names() -> dict[str, dict[str, str]]:
    """Return the names of settings by section and attribute."""
    found: dict[str, dict[str, str]] = {}
    for each in every_setting().values():
        found.setdefault(each.section, {})[each.attribute] = each.name
    return found


def by_name(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a record by name; what else is there stays as it is."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        names = _names().get(key)
        if names is None or not isinstance(value, Mapping):
            found[key] = value
        else:
            found |= {names.get(str(attribute), str(attribute)): v for attribute, v in value.items()}
    return found


def in_sections(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a record in sections; what else is there stays as it is."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        place = every_setting().get(key)
        if place is None or isinstance(value, Mapping):
            found[key] = value
        else:
            found.setdefault(place.section, {})[place.attribute] = value
    return found


def upgraded(record: dict[str, Any]) -> dict[str, Any]:
    """Return a run's record of format 1 as format 2 has it: the settings of trainings in sections.

    Records carry the settings of the run's own training and of those that came before it.
    """
    found = _upgraded(record)
    if record.get("kind") in ("finetune", "pretrain") and isinstance(record.get("config"), Mapping):
        found["config"] = in_sections(record["config"])
    return {**found, "format": 2}


def _upgraded(part: Any) -> Any:
    """Return a part of a record with the settings of every training that it tells of in sections."""
    if not isinstance(part, Mapping):
        return part
    found = {key: _upgraded(value) for key, value in part.items()}
    training = found.get("training")
    if isinstance(training, dict) and isinstance(training.get("config"), Mapping):
        training["config"] = in_sections(training["config"])
    return found


def given_settings(values: Mapping[str, Any], *, source: str | None = None) -> dict[str, Any]:
    """Return by name what a user gave, in either form or mixed.

    Raises:
        BadOption: a section is unknown, a setting is not in its section, or is given twice.
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        given = _of_section(key, value, source) if isinstance(value, Mapping) else {key: value}
        if twice := sorted(given.keys() & found.keys()):
            raise BadOption(f"{twice[0]} is given twice", where=source, fix="Keep one of them.")
        found |= given
    return found


def _of_section(section: str, values: Mapping[str, Any], source: str | None) -> dict[str, Any]:
    if (names := _names().get(section)) is None:
        close = difflib.get_close_matches(section, _names(), n=1)
        hint = f"Did you mean [{close[0]}]?" if close else f"Known: {', '.join(_names())}."
        raise BadOption(f"unknown section [{section}]", where=source, fix=hint)
    for attribute in values:
        if attribute not in names:
            fix = _place_of(attribute, names)
            raise BadOption(f"unknown setting '{attribute}' in [{section}]", where=source, fix=fix)
    return {names[attribute]: value for attribute, value in values.items()}


def _place_of(attribute: str, names: Mapping[str, str]) -> str:
    """Say where a setting is that is not in a section."""
    for other in every_setting().values():
        if attribute in (other.attribute, other.name):
            return f"Write it as '{other.attribute}' in [{other.section}]."
    close = difflib.get_close_matches(attribute, names, n=1)
    return f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(names)}."


def read_settings(path: Path) -> dict[str, Any]:
    """Read settings by name from a TOML file, with sections or without.

    Raises:
        BadData: it is missing or malformed.
        BadOption: as `given_settings`.
    """
    try:
        values = tomllib.loads(read_bytes(path).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadData(f"not valid TOML ({error})", where=str(path)) from None
    except RecursionError:
        raise BadData("TOML that nests too deep", where=str(path)) from None
    except ValueError:
        raise BadData("a number of too many digits", where=str(path)) from None
    return given_settings(values, source=str(path))
