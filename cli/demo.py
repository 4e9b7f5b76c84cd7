"""`mbert demo`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modernbert.evaluation.shown import interval_text
from modernbert.wording import counted

from . import options, output
from .progress import Training, watch, with_verbose

if TYPE_CHECKING:
    from modernbert.demo import Answer, DemoResult

# Questions are counted whose answer is among so many; these are shown one by one.
NEAR_TOP, LISTED = (1, 3, 10), 10


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
    show_answers(found.answers, found.run)
    output.print_line(f"\nNext: mbert index PATH --model {found.run}; mbert search 'what you look for'")
    output.print_line(f"  or: mbert report {found.run}; mbert finetune your_texts.csv")


def show_answers(answers: Sequence[Answer], run: str) -> None:
    """Print how many questions each system answers near the top, and the first questions one by one."""
    systems = list(answers[0].ranks)
    counts = [
        (system, *(sum(0 < answer.ranks[system] <= place for answer in answers) for place in NEAR_TOP))
        for system in systems
    ]
    heads = tuple("right on top" if place == 1 else f"in the first {place}" for place in NEAR_TOP)
    asked = counted(len(answers), "question")
    output.print_table(f"\n{asked} as a person would ask", ("system", *heads), counts, right=heads)
    rows = [
        (answer.question, answer.found, *(str(rank or "-") for rank in answer.ranks.values()))
        for answer in answers[:LISTED]
    ]
    title = f"\nthe first {LISTED} of them: the place of the first right answer"
    finds = f"{run} finds"
    output.print_table(title, ("question", finds, *systems), rows, right=systems, optional=(finds,))
