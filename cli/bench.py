"""`mbert bench`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from modernbert.ranges import Range

from . import options, output, values
from .early import check_columns, check_model
from .progress import watch, with_verbose

if TYPE_CHECKING:
    from modernbert.benchmark.bench import BenchResult

BAR = 30
# What stands beside a bar.
BESIDE = 80
WIDTH = 120
MODES = ("inference", "training", "lora")
# Two special tokens and a word, up to what no model reads.
LENGTHS = Range(3, 1_000_000)
# A head in its help.
MEASURED = "What is measured"
COLOURS = {"mbert": "green", "transformers": "blue"}


@with_verbose
def bench(
    target: Annotated[
        str | None,
        options.argument(
            "TARGET", values.name, "Task or file whose text lengths to measure too.", options.TASKS
        ),
    ] = None,
    model: options.Model = "modernbert-base",
    lengths: Annotated[
        str,
        options.option(
            "--lengths", values.whole_list(LENGTHS), "Text lengths in tokens, separated by commas.", MEASURED
        ),
    ] = "32,128,512,2048,8192",
    mode: Annotated[
        str,
        options.option(
            "--mode", values.one_of(*MODES), "Pass to time: inference, training or lora.", MEASURED
        ),
    ] = MODES[0],
    rounds: Annotated[
        int,
        options.option(
            "--rounds", values.whole(Range(1, 1_000)), "Number of timings of each, taken in turns.", MEASURED
        ),
    ] = 3,
    svg: Annotated[
        Path | None,
        options.output_file("--svg", (".svg",), "Write the chart to this SVG file."),
    ] = None,
    overwrite: options.Overwrite = False,
    text_col: options.TextCol = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
) -> None:
    """Measure a model's speed and memory here, against transformers' own forward pass."""
    from modernbert.files import atomic_file
    from modernbert.runs import RunStore

    options.require_output(overwrite, "--svg", svg)
    check_model(model, runs_dir)
    check_columns(target, text_col or ())
    with watch(quiet=json):
        from modernbert.benchmark.bench import BenchRequest
        from modernbert.benchmark.bench import bench as run

        request = BenchRequest(
            model=model,
            target=target,
            text=tuple(text_col or ()),
            lengths=tuple(lengths),  # type: ignore[arg-type]
            mode=mode,  # type: ignore[arg-type]
            rounds=rounds,
            device=device,
            precision=precision,
            data_dir=data_dir,
        )
        result = run(request, RunStore.at(runs_dir))
    replaced = svg is not None and svg.exists()
    if svg:
        with atomic_file(svg) as file:
            file.write(to_svg(result))
    if json:
        return output.print_json(result.as_dict())
    output.show(picture(result, output.width()))
    output.print_facts("what ran", _facts(result))
    for note in result.notes:
        output.print_line(note)
    if any(point.agrees is False for point in result.points):
        output.print_warning("mbert's logits are further from fp32 than they should be; please report this")
    if svg:
        output.print_written(svg, "picture", replaced=replaced)


def _facts(result: BenchResult) -> dict[str, object]:
    machine = result.machine
    facts: dict[str, object] = {}
    facts["model"] = f"{result.model} ({result.parameters / 1e6:.1f} million parameters)"
    facts["device"] = f"{machine.device}, {result.hardware['gpu'] or result.hardware['cpu']}"
    facts["threads"] = str(result.hardware["threads"])
    facts["precision"] = f"{machine.precision} ({machine.precision_reason})"
    facts["attention"] = str(result.attention)
    if result.quantiles:
        facts["your texts"] = ", ".join(f"{name} {n:,} tokens" for name, n in result.quantiles.items())
    far = [p.difference for p in result.points if p.difference]
    if far:
        ours, theirs = (max(d[name] for d in far) for name in ("mbert", "transformers"))
        facts["logits"] = f"from fp32, at most: mbert {ours:.1g}, transformers {theirs:.1g}"
    return facts


def picture(result: BenchResult, width: int) -> RenderableType:
    """Return throughput as bars, as far as there is room for them, and beside them speed-up and memory."""
    longest = min(BAR, max(0, width - BESIDE))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, right in (
        ("tokens", True),
        ("texts", True),
        ("", False),
        ("tokens/s", True),
        ("", False),
        ("times as fast", True),
        ("MiB", True),
        ("of ceiling", True),
    ):
        justify: Literal["left", "right"] = "right" if right else "left"
        whole = bool(name) and " " not in name
        table.add_column(Text(name), justify=justify, no_wrap=whole, overflow="fold")
    most = max(rate for point in result.points for rate in point.tokens_per_second.values())
    for point in result.points:
        for name, rate in sorted(point.tokens_per_second.items(), key=lambda item: item[0] != "mbert"):
            ours = name == "mbert"
            share = f"{point.share_of_ceiling:.0%}" if ours and point.share_of_ceiling else ""
            table.add_row(
                Text(point.work) if ours else "",
                f"{point.texts:,}" if ours else "",
                name,
                f"{rate:,.0f}",
                Text(bar(rate / most * longest / BAR), style=COLOURS.get(name, "cyan")),
                "" if ours else f"{point.speedup[name]:.2f}",
                f"{point.working_memory_mib[name]:,.0f}",
                share,
            )
        table.add_row()
    note = (
        "times as fast: mbert against that engine. MiB: working memory, beyond weights and optimiser. "
        "of ceiling: mbert's arithmetic rate by that of one large matrix product here."
    )
    return Group(Text(f"{result.mode}, {result.machine.precision}", style="bold"), table, Text(note, "dim"))


def bar(share: float) -> str:
    """Return a bar of `share` of the full width, in eighths of a character."""
    eighths = round(share * BAR * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def to_svg(result: BenchResult) -> str:
    """Return the picture as an SVG that asks the network for nothing (rich's own fetches a font)."""
    svg = output.svg(picture(result, WIDTH), f"mbert bench: {result.model}", WIDTH)
    return re.sub(r"@font-face\s*{.*?}", "", svg, flags=re.DOTALL)
