"""`mbert compare`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from . import options, output


def compare(
    runs: Annotated[
        list[str] | None, typer.Argument(help="Finished runs; without any, all of the run store.")
    ] = None,
    baseline: Annotated[
        list[str] | None, typer.Option("--baseline", "-b", help="Model to compare with; may be repeated.")
    ] = None,
    task: Annotated[list[str] | None, typer.Option("--task", "-t", help="Take this task alone.")] = None,
    model: Annotated[list[str] | None, typer.Option("--model", "-m", help="Take this model alone.")] = None,
    allow: Annotated[
        bool, typer.Option("--allow", help="Compare also what was trained differently, and mark it.")
    ] = False,
    seeds: Annotated[bool, typer.Option("--show-seeds", help="Show every seed's score.")] = False,
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
) -> None:
    """Compare models, seed by seed and example by example, with intervals and paired tests."""
    from modernbert.comparison.compare import compare as compare_runs
    from modernbert.errors import BadOption
    from modernbert.runs import RunStore

    if not baseline:
        raise BadOption("there is nothing to compare with", fix="Add --baseline MODEL, such as minilm.")
    store = RunStore.at(runs_dir)
    found = compare_runs(store, runs or [], baseline, tasks=task or (), models=model or (), allow=allow)
    if json:
        return output.print_json(found.as_dict())
    for one in found.tasks:
        _show_task(one, seeds=seeds)
    if found.averages:
        rows = [(name, f"{value:.4f}") for name, value in sorted(found.averages.items(), key=lambda i: -i[1])]
        title = f"\nmean over the tasks that all have ({', '.join(found.averaged)})"
        output.print_table(title, ("model", "mean"), rows)
    for note in found.notes:
        output.print_warning(note)


def _show_task(task: Any, *, seeds: bool) -> None:
    columns = ["model", task.metric, "sd", "seeds", "parameters", "minutes", "peak MiB"]
    rows = []
    for m in task.models:
        deviation = "" if m.deviation is None else f"{m.deviation:.4f}"
        cost = [f"{m.parameters:,}" if m.parameters else "", _number(m.minutes, 1), _number(m.memory_mib, 0)]
        every = [" ".join(f"{seed}: {v:.4f}" for seed, v in m.by_seed.items())] if seeds else []
        rows.append([m.model, f"{m.mean:.4f}", deviation, len(m.by_seed), *cost, *every])
    columns += ["each seed"] if seeds else []
    right = ("parameters", "minutes", "peak MiB")
    output.print_table(f"\n{task.task} ({task.split}, n {task.n:,})", columns, rows, right=right)
    columns = ["against", "model", "difference", "95 % paired interval", "p", "Holm", "McNemar", "verdict"]
    output.print_table("", columns, [_contrast_row(contrast) for contrast in task.contrasts])
    for contrast in task.contrasts:
        if contrast.differing:
            shown = "; ".join(f"{name}: {a!r} and {b!r}" for name, (a, b) in contrast.differing.items())
            output.print_warning(f"{contrast.model} and {contrast.baseline} were not made alike: {shown}")
    single = ", ".join(m.model for m in task.models if len(m.by_seed) == 1 and "-" not in m.by_seed)
    if single:
        output.print_line(f"one seed of {single}: how much trainings differ is not in these intervals")


def _contrast_row(contrast: Any) -> list[str]:
    d = contrast.difference
    verdict = "no difference shown"
    if d.is_shown and contrast.p_corrected <= 0.05:
        verdict = "better" if d.value > 0 else "worse"
    return [
        contrast.baseline + (" *" if contrast.differing else ""),
        contrast.model,
        f"{d.value:+.4f}",
        f"{d.low:+.4f} to {d.high:+.4f}",
        f"{d.p:.4f}",
        f"{contrast.p_corrected:.4f}",
        _number(contrast.mcnemar, 4),
        verdict,
    ]


def _number(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:,.{places}f}"
