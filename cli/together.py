"""A command that several processes share: those of a training follow the first; others only run the model."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import typer

from modernbert.ranks import find_ranks


def follow_if_launched() -> None:
    """Where a launcher started this process, and not as the first of several: follow that one, and exit."""
    if find_ranks(os.environ).rank:
        from modernbert.finetuning.launch import follow_launched

        raise typer.Exit(follow_launched())


@contextlib.contextmanager
def shared_out(processes: int) -> Iterator[None]:
    """Let each model that is loaded in the block run in as many processes."""
    from modernbert.evaluation.workers import shared_out as sharing

    with sharing(processes):
        yield


@contextlib.contextmanager
def led(processes: int) -> Iterator[None]:
    """Lead the trainings of the block as the first of several processes, if that is asked for."""
    from modernbert.finetuning.launch import led as leading

    with leading(processes):
        yield
