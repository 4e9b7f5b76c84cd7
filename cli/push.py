"""`mbert push`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from modernbert.wording import counted

from . import complete, options, output, values
from .early import check_model
from .progress import watch, with_verbose

if TYPE_CHECKING:
    from modernbert.push import Pushed

HUB = "Hub"


@with_verbose
def push(
    model: Annotated[
        str,
        options.argument(
            "RUN", values.name, "A finished run, or a folder with a model and its card.", [complete.trained]
        ),
    ],
    repo: Annotated[str, options.argument("OWNER/NAME", values.text, "The repository on the Hub.")],
    private: Annotated[
        bool,
        options.flag(
            "--private", "Make the repository private (default: public, or as its organization has set).", HUB
        ),
    ] = False,
    revision: Annotated[
        str, options.option("--revision", values.text, "Branch; made if it is not there.", HUB)
    ] = "main",
    overwrite: Annotated[
        bool,
        options.flag("--overwrite", "Replace the files that the branch has; its history keeps them.", HUB),
    ] = False,
    dry_run: Annotated[
        bool, options.flag("--dry-run", "Show the files and their sizes; the Hub is asked nothing.", HUB)
    ] = False,
    runs_dir: options.RunsDir = None,
    data_dir: options.DataDir = None,
    json: options.Json = False,
) -> None:
    """Push a run's model and its card to the Hugging Face Hub, in one commit."""
    check_model(model, runs_dir)
    with watch(quiet=json):
        from modernbert.push import PushRequest
        from modernbert.push import push as push_model
        from modernbert.runs import RunStore

        request = PushRequest(
            model=model,
            repo=repo,
            revision=revision,
            private=private,
            overwrite=overwrite,
            dry_run=dry_run,
            data_dir=data_dir,
        )
        done = push_model(request, RunStore.at(runs_dir))
    show_push(done, as_json=json)


def show_push(done: Pushed, *, as_json: bool) -> None:
    """Print what went up, and where it is."""
    if as_json:
        return output.print_json(done.as_dict())
    size = f"{counted(len(done.files), 'file')}, {_size(done.bytes)}"
    rows = [(file.name, _size(file.bytes)) for file in done.files]
    output.print_table("", ("file", "size"), rows, right=("size",))
    if done.left_out:
        output.print_note(f"not pushed: {', '.join(done.left_out)}")
    if not done.commit:
        return output.print_line(f"dry run: {size} would go to {done.repo} ({done.revision})")
    for name in done.removed:
        output.print_note(f"removed there: {name} (the history of the repository keeps it)")
    made = ", made for it" if done.created else ""
    output.print_line(f"{done.model} -> {done.repo} ({done.revision}{made}): {size}")
    output.print_line(f"{done.url}")


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:,.1f} kB"
