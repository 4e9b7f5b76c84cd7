"""What is said of a command line that cannot be parsed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from modernbert.errors import BadOption, MbertError, UnknownName, did_you_mean

from .examples import EXAMPLES


def told(error: Any, arguments: Sequence[str]) -> MbertError:
    """Return what is said of the parser's error in these arguments."""
    if error.ctx is None:
        command = ["mbert", *(argument for argument in arguments[:1] if argument in EXAMPLES)]
        return BadOption(error.format_message(), fix=f"{' '.join(command)} --help lists the options.")
    path = error.ctx.command_path
    name, group = path.partition(" ")[2] or "mbert", error.ctx.command
    lists = f"{path} --help lists the {'commands' if hasattr(group, 'commands') else 'options'}."
    if unknown := re.match("No such command '(.*?)'", error.format_message()):
        return UnknownName.among("command", unknown[1], group.list_commands(error.ctx), fix=lists)
    if type(error).__name__ == "NoSuchOption":
        option = error.option_name
        return BadOption(f"there is no option {option}", fix=_closest_option(option, error.ctx) + lists)
    if type(error).__name__ == "MissingParameter":
        lists = f"For example: {EXAMPLES[name][0]}"
    if "extra argument" in error.format_message() and EXAMPLES.get(name):
        lists = f"Put words that belong together in quotes. For example: {EXAMPLES[name][0]}"
    return BadOption(error.format_message(), fix=lists)


def _closest_option(option: str, context: Any) -> str:
    """Ask whether an option is meant that is called alike."""
    known = (name for parameter in context.command.params for name in parameter.opts if name.startswith("--"))
    return did_you_mean(option.lstrip("-"), (name.lstrip("-") for name in known), before="--")
