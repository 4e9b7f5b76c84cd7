"""The options of a training's settings, made from the fields of its config."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from modernbert.ranges import LENGTHS
from modernbert.settings.config import TrainingConfig, settings_of
from modernbert.settings.fields import Setting
from modernbert.settings.forms import read_settings

from . import complete, options, values
from .early import check_metric

# Help names the limits of shares and the like, not those that nobody reaches.
LARGEST_SHOWN = 100
# Settings with a second, shorter option.
SHORT = {"learning_rate": "--lr"}


def with_settings(config: type[TrainingConfig]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each setting of a config.

    The command receives `settings`, by name: those of the TOML file that its parameter `config` names,
    overridden by those of the options that were given.
    """
    every = settings_of(config)

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def command(**given: Any) -> None:
            flags = {name: given.pop(name) for name in every}
            if metric := flags.get("metric"):
                check_metric(given["targets"], metric)
            return function(**given, settings=_settings(config, given.get("config"), flags))

        hints = get_type_hints(function, include_extras=True)
        own = [
            parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
            for name, parameter in inspect.signature(function).parameters.items()
            if name != "settings"
        ]
        signature = inspect.Signature([*own, *map(_parameter, every.values())])
        command.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        command.__signature__ = signature  # type: ignore[attr-defined]
        del command.__wrapped__  # what it wraps has other parameters
        return command

    return decorate


def _parameter(setting: Setting) -> inspect.Parameter:
    kind: Any = str if isinstance(setting.default, tuple) else type(setting.default)
    described: Any = Annotated[kind | None, _option(setting)]
    return inspect.Parameter(setting.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=described)


def _option(setting: Setting) -> Any:
    if isinstance(setting.default, bool):
        return options.flag(setting.option, help_text(setting), setting.panel)
    names = f"{setting.option} {SHORT.get(setting.name, '')}"
    words = [word for word in setting.choices if word] if setting.otherwise else []
    words += ["auto"] if setting.limits == LENGTHS else []
    offers: Iterable[complete.Source] = options.MODELS if setting.name == "teacher" else ()
    offers = [complete.words(*setting.choices)] if setting.name == "metric" else offers
    return options.option(
        names, values.setting(setting), help_text(setting), setting.panel, words=words, offers=offers
    )


def help_text(setting: Setting) -> str:
    """Return a setting's help: what it is, its unit, what 0 means, and its limits if they are narrow."""
    limits, zero = setting.limits, "auto" if setting.limits == LENGTHS else "0"
    unit = f", in {setting.unit}" if setting.unit else ""
    zero = f"; {zero} for {setting.zero}" if setting.zero else ""
    limited = f" ({limits})" if limits and limits.high <= LARGEST_SHOWN else ""
    return f"{setting.help}{unit}{zero}{limited}."


def _settings(config: type[TrainingConfig], file: Path | None, flags: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of the TOML file, then those of the flags that were given.

    Raises:
        BadOption: a setting of the file is wrong, or one of both has no effect beside the others.
    """
    from_file = read_settings(file) if file else {}
    config().with_values(from_file, source=str(file))
    settings = from_file | {name: value for name, value in flags.items() if value is not None}
    config().with_values(settings).require_effect(settings)
    return settings


def settings_text(settings: Mapping[str, Any]) -> str:
    """Return settings in a line: `epochs 3, lora, dims 256/128`."""
    return ", ".join(_setting(name, value) for name, value in settings.items())


def _setting(name: str, value: Any) -> str:
    if value is True:
        return name
    if isinstance(value, (list, tuple)):
        return f"{name} {'/'.join(map(str, value)) or 'none'}"
    shown = "off" if value is False else f"{value:g}" if isinstance(value, float) else str(value)
    return f"{name} {shown or 'none'}"
