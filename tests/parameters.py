"""The parameters of every command, as the program declares them."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Iterator

import typer
from modernbert.cli.main import app

Parameter = tuple[str, typer.models.ParameterInfo, object]


def infos() -> Iterator[tuple[list[str], typer.models.CommandInfo]]:
    for info in app.registered_commands:
        yield [str(info.name)], info
    for group in app.registered_groups:
        if group.typer_instance.info.invoke_without_command:
            yield [str(group.name)], group.typer_instance.registered_callback
        for info in group.typer_instance.registered_commands:
            yield [str(group.name), str(info.name)], info


@functools.cache
def parameters_of(function: Callable) -> list[Parameter]:
    hints = typing.get_type_hints(function, include_extras=True)
    found = []
    for name in inspect.signature(function).parameters:
        kind, *more = typing.get_args(hints[name]) or (hints[name],)
        described = [info for info in more if isinstance(info, typer.models.ParameterInfo)]
        if kind is not typer.Context:
            found.append((name, described[0] if described else None, kind))
    return found


COMMANDS = {" ".join(words): info for words, info in infos()}
