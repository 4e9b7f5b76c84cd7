"""`mbert demo`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modernbert.evaluation.shown import interval_text
from modernbert.wording import counted

from . import options, output
from .progress import Training, watch, with_verbose

if TYPE_CHECKING:
    from modernbert.demo import DemoResult


@with_verbose
def demo(runs_dir: options.RunsDir = None, json: options.Json = False) -> None:
    """Train the embedded ModernBERT to search Python's own library: no network, a few minutes."""
    with watch(quiet=json) as watched:
        from modernbert.demo import run_demo
        from modernbert.runs import RunStore

        shown = Training(watched)
        found = run_demo(RunStore.at(runs_dir), on_start=shown.start, observe=shown.observe)
    if json:
        return output.print_json(found.as_dict())
    show_demo(found)


def show_demo(found: DemoResult) -> None:
    """Print what the trained model finds beside the others, and what to do next."""
    rows = []
    for system in found.systems:
        main, *others = system.ranking.scores
        values = [f"{score.value:.4f}" for score in others]
        interval = interval_text(main.low, main.high)
        rows.append((system.system, f"{main.value:.4f}", interval, *values, system.note))
    names = [score.metric for score in found.systems[0].ranking.scores]
    documents = counted(found.documents, "function")
    title = f"\n{counted(found.queries, 'docstring')}, each asking for its own among {documents}"
    columns = ("system", names[0], "95 % interval", *names[1:], "note")
    title += " (modules that training never saw)"
    output.print_table(title, columns, rows, right=names, optional=("note",))
    systems = list(found.answers[0].ranks)
    answers = [
        (a.question, _signature(a.found), *(str(rank or "-") for rank in a.ranks.values()))
        for a in found.answers
    ]
    for place, label in ((1, "right on top"), (3, "right in the first three")):
        counts = (sum(0 < a.ranks[system] <= place for a in found.answers) for system in systems)
        answers.append((f"{label}, of {len(found.answers)}", "", *map(str, counts)))
    output.print_table(
        "\nasked as a person would: the place of the first right answer",
        ("question", f"{found.run} finds", *systems), answers,
        right=systems, optional=(f"{found.run} finds",),
    )  # fmt: skip
    output.print_line(f"\nNext: mbert index PATH --model {found.run}; mbert search 'what you look for'")
    output.print_line(f"  or: mbert report {found.run}; mbert finetune your_texts.csv")


def _signature(line: str) -> str:
    """Return the first line of a function without its parameters: `def most_common(...)`."""
    name, bracket, _ = line.partition("(")
    return f"{name}(...)" if bracket else line
