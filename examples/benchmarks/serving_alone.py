"""`mbert serve` for some minutes: the latency of a request that comes alone, and memory over time.

    pip install -e '.[serve]'
    python examples/benchmarks/serving_alone.py --minutes 10

It serves modernbert-nano. First requests of one text each, one after the other with pauses: their time beside
that of the same model's own pass over the text, and of an answer without a model (`/health`). Then texts of 4
to 400 words, as many as it answers or at random times, and the server's resident memory every five seconds.
"""

import argparse
import asyncio
import os
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import torch
from _common import RESULTS, header, keep_record, processor_of, read_records
from serving import OPEN, SYSTEMS, ask, load, make_model, saturate, start, texts_of, until_ready

from modernbert.evaluation.embed import Embedder
from modernbert.memory import prepare_cpu_memory
from modernbert.model.device import describe_hardware
from modernbert.model.locate import locate_model
from modernbert.runs import RunStore
from modernbert.version import versions

OUTPUT = RESULTS / "serving_alone.json"
SYSTEM = "mbert serve"
# Seconds between two requests, and between two looks at the memory.
PAUSE, LOOK = 0.05, 5.0
# Memory before this is not compared: batches of every size have not been seen yet.
WARM_SECONDS = 60.0


async def health(session: aiohttp.ClientSession) -> None:
    async with session.get(f"http://127.0.0.1:{SYSTEMS[SYSTEM]}/health") as answer:
        await answer.read()


async def waits(calls: dict[str, Any], texts: list[str]) -> dict[str, list[float]]:
    """Return the milliseconds of each call on each text, one at a time."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for text in texts:
        for name, call in calls.items():
            await asyncio.sleep(PAUSE)
            began = time.perf_counter()
            await call(text)
            found[name].append(1000 * (time.perf_counter() - began))
    return found


async def alone(session: aiohttp.ClientSession, embedder: Embedder, work: str, count: int) -> dict:
    async def own(text: str) -> None:
        embedder.encode([text])

    calls = {
        "model": own,
        "server": lambda text: ask(session, SYSTEM, [text]),
        "health": lambda text: health(session),
    }
    texts = texts_of(work, count + 10)
    await waits(calls, texts[:10])  # the first calls cost more
    found = await waits(calls, texts[10:])
    return {name: statistics.median(each) for name, each in found.items()}


async def watch(server: Any, seconds: float) -> list[tuple[float, float]]:
    """Return (seconds, MiB) of the server's resident memory."""
    process, began, found = psutil.Process(server.pid), time.perf_counter(), []
    while (now := time.perf_counter() - began) < seconds:
        found.append((round(now, 1), round(process.memory_info().rss / 2**20, 1)))
        await asyncio.sleep(LOOK)
    return found


async def run(given: argparse.Namespace, server: Any, embedder: Embedder) -> dict:
    timeout, connector = aiohttp.ClientTimeout(total=60), aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        await until_ready(session, SYSTEM)
        latency = {work: await alone(session, embedder, work, given.texts) for work in ("short", "mixed")}
        print(latency, flush=True)
        texts = texts_of("mixed", 20_000)
        random.Random(1).shuffle(texts)
        seconds = 60 * given.minutes
        asking = (
            load(session, texts, given.rate, seconds, SYSTEM)
            if given.rate
            else saturate(session, texts, seconds, SYSTEM)
        )
        memory, asked = await asyncio.gather(watch(server, seconds), asking)
    return {"latency_ms": latency, "memory_mib": memory, "asked": asked, "rate": given.rate}


def table(records: list[dict]) -> str:
    head = [
        "p50 ms of a short text: the model alone",
        "the server",
        "/health",
        "of a mixed one: the model alone",
        "the server",
    ]
    head += ["load", "minutes", "requests", "MiB after a minute", "in the middle", "at the end"]
    head += ["processor, threads"]
    lines = header(head)
    for record in records:
        short, mixed = record["latency_ms"]["short"], record["latency_ms"]["mixed"]
        cells = [short["model"], short["server"], short["health"], mixed["model"], mixed["server"]]
        memory = record["memory_mib"]
        later = [mib for seconds, mib in memory if seconds >= WARM_SECONDS] or [memory[-1][1]]
        shown = [f"{cell:.1f}" for cell in cells]
        shown += [f"{record['rate']:g} a second" if record["rate"] else f"{OPEN} open"]
        shown += [f"{(memory[-1][0] + LOOK) / 60:.0f}", f"{record['asked']['requests']:,}"]
        shown += [f"{mib:,.0f}" for mib in (later[0], later[len(later) // 2], later[-1])]
        lines.append("| " + " | ".join([*shown, processor_of(record)]) + " |")
    return "\n".join(lines)


def read() -> list[dict]:
    return read_records(OUTPUT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument(
        "--rate", type=float, default=0, help="requests a second; 0: 64 are open all the time"
    )
    parser.add_argument("--texts", type=int, default=100, help="that are asked for alone")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    prepare_cpu_memory()
    with tempfile.TemporaryDirectory() as folder:
        model = make_model(Path(folder) / "nano")
        embedder = Embedder(
            locate_model(str(model), store=RunStore(Path(folder))), device="cpu", precision="fp32"
        )
        server = start(SYSTEM, model, given.threads)
        try:
            record = asyncio.run(run(given, server, embedder))
        finally:
            server.terminate()
            server.wait()
    record |= {"load_average": os.getloadavg(), "hardware": describe_hardware(), "versions": versions()}
    keep_record(record, given.output, "rate")
    print(table([record]))


if __name__ == "__main__":
    main()
