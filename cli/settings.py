"""The options of a training's settings, made from the fields of its config."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from modernbert.errors import BadOption
from modernbert.training.config import TrainingConfig, read_settings, without_effect

from . import options, values

# Help names the limits of shares and the like, not those that nobody reaches.
LARGEST_SHOWN = 100
# Settings with a second, shorter option.
SHORT = {"learning_rate": "--lr"}


def with_settings(
    config: type[TrainingConfig], *, without: Collection[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each field of a config, except those `without`.

    The command receives `settings`: those of the TOML file that its parameter `config` names, overridden by
    those of the options that were given.
    """
    fields = [field for field in dataclasses.fields(config) if field.name not in without]

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def command(**given: Any) -> None:
            flags = {field.name: given.pop(field.name) for field in fields}
            return function(**given, settings=_settings(config, given.get("config"), flags))

        hints = get_type_hints(function, include_extras=True)
        own = [
            parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
            for name, parameter in inspect.signature(function).parameters.items()
            if name != "settings"
        ]
        signature = inspect.Signature([*own, *(_parameter(config, field) for field in fields)])
        command.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        command.__signature__ = signature  # type: ignore[attr-defined]
        del command.__wrapped__  # what it wraps has other parameters
        return command

    return decorate


def _parameter(config: type[TrainingConfig], field: dataclasses.Field[Any]) -> inspect.Parameter:
    kind: Any = str if isinstance(field.default, tuple) else type(field.default)
    described: Any = Annotated[kind | None, _option(config, field)]
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=described)


def _option(config: type[TrainingConfig], field: dataclasses.Field[Any]) -> Any:
    limits, panel = field.metadata["limits"], field.metadata["panel"]
    name = f"--{field.name.replace('_', '-')}"
    help = field.metadata["help"]
    if isinstance(field.default, bool):
        return options.flag(name, f"{help}.", panel)
    read = values.setting(field.name, config)
    if field.name == "max_length" and 0 in limits:
        read = values.length
    elif limits and limits.high <= LARGEST_SHOWN:
        help = f"{help} ({limits})"
    names = f"{name} {SHORT[field.name]}" if field.name in SHORT else name
    return options.option(names, read, f"{help}.", panel)


def _settings(config: type[TrainingConfig], file: Path | None, flags: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of the TOML file, then those of the flags that were given."""
    settings = read_settings(file) if file else {}
    config().with_values(settings, source=str(file))
    given = {name: value for name, value in flags.items() if value is not None}
    if why := without_effect(settings | given, given):
        raise BadOption(f"--{why.replace('_', '-')}")
    return settings | given
