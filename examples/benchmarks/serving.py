"""`mbert serve` and sentence-transformers behind FastAPI, side by side: requests a second within 200 ms.

    pip install -e '.[serve]' sentence-transformers
    python examples/benchmarks/serving.py

Both serve modernbert-nano with the same weights, threads and precision, each in a process of its own on
this machine. The other server collects up to 32 texts within the same 2 ms, and lets `encode` pad them.
Vectors are compared first. Requests of one text each come at random times (Poisson), whether earlier
ones are answered or not, and a request's latency counts from the time that it was due. At each rate both
are asked in turns, and the median over rounds counts. At last 64 requests are kept open, and answers are
counted by the server's processor time, which other programs disturb less.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from functools import partial
from importlib.resources import files
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import aiohttp
import numpy as np
import psutil
from _common import RESULTS, header, read_records, write_records

from modernbert.model.device import describe_hardware
from modernbert.version import versions

OUTPUT = RESULTS / "serving.json"
SYSTEMS = {"mbert serve": 8761, "sentence-transformers": 8762}
# Words of a text, from and to; drawn evenly on a logarithmic scale.
WORK = {"short": (4, 16), "mixed": (4, 400), "long": (300, 400)}
# The first rates, in requests a second.
RATES = {"short": 8.0, "mixed": 4.0, "long": 1.5}
MAX_LENGTH = 1024
# What a service promises: 99 of 100 answers within so many milliseconds.
PROMISES_MS = (200.0, 1000.0)
# Requests that are open at once when a server does all it can.
OPEN = 64
Servers = dict[str, subprocess.Popen]


def make_model(folder: Path) -> Path:
    """Copy the embedded model, to read more of a text than it does by itself."""
    shutil.copytree(str(files("modernbert") / "nano"), folder)
    path = folder / "sentence_bert_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"max_seq_length": MAX_LENGTH}))
    return folder


def start(system: str, model: Path, threads: int) -> subprocess.Popen:
    port = str(SYSTEMS[system])
    if system == "mbert serve":
        code = "from modernbert.cli.entry import main; main()"
        line = ["-c", code, "serve", str(model), "--port", port, "--precision", "fp32", "--device", "cpu"]
    else:
        line = [str(Path(__file__).with_name("_sentence_server.py")), str(model), port]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    return subprocess.Popen([sys.executable, *line], env=environment, stderr=subprocess.DEVNULL)


async def until_ready(session: aiohttp.ClientSession, system: str) -> None:
    for _ in range(1200):
        try:
            async with session.get(f"http://127.0.0.1:{SYSTEMS[system]}/ready"):
                return
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.1)
    raise RuntimeError(f"{system} did not start")


def texts_of(work: str, count: int) -> list[str]:
    """Return pieces of Python's own documentation."""
    draw, words = random.Random(0), " ".join(topics.values()).split()
    low, high = WORK[work]
    found = []
    for _ in range(count):
        size = round(low * (high / low) ** draw.random())
        first = draw.randrange(len(words) - size)
        found.append(" ".join(words[first : first + size]))
    return found


async def ask(session: aiohttp.ClientSession, system: str, texts: list[str]) -> list[list[float]] | None:
    """Return the vectors; None where the server refuses."""
    url = f"http://127.0.0.1:{SYSTEMS[system]}/embed"
    async with session.post(url, json={"texts": texts}) as answer:
        return (await answer.json())["vectors"] if answer.status == 200 else None


async def require_same(session: aiohttp.ClientSession, texts: list[str]) -> float:
    """Return the largest difference of a number between both servers' vectors."""
    found = [await ask(session, system, texts[:64]) for system in SYSTEMS]
    difference = float(np.abs(np.array(found[0]) - np.array(found[1])).max())
    assert difference < 1e-4, f"vectors differ by {difference:.2g}"
    return difference


def processor_seconds(server: subprocess.Popen) -> float:
    used = psutil.Process(server.pid).cpu_times()
    return used.user + used.system


async def load(
    session: aiohttp.ClientSession, texts: list[str], rate: float, seconds: float, system: str
) -> dict:
    """Ask at a rate for some seconds; return latencies in milliseconds, and failures."""
    draw, waits, failed = random.Random(rate), [], 0
    began = time.perf_counter()

    async def one(due: float, text: str) -> None:
        nonlocal failed
        try:
            answer = await ask(session, system, [text])
        except (aiohttp.ClientError, TimeoutError):
            answer = None
        failed += answer is None
        waits.append((time.perf_counter() - due) * 1000)

    tasks, due, number = [], began, 0
    while (due := due + draw.expovariate(rate)) < began + seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(due, texts[number % len(texts)])))
        number += 1
    await asyncio.gather(*tasks)
    p50, p99 = np.percentile(waits, [50, 99]) if waits else (0.0, 0.0)
    return {"requests": number, "failed": failed, "p50_ms": float(p50), "p99_ms": float(p99)}


async def saturate(session: aiohttp.ClientSession, texts: list[str], seconds: float, system: str) -> dict:
    """Keep 64 requests open for some seconds; return how many were answered."""
    until, answered = time.perf_counter() + seconds, 0

    async def client(number: int) -> None:
        nonlocal answered
        while time.perf_counter() < until:
            found = await ask(session, system, [texts[number % len(texts)]])
            answered += found is not None
            number += OPEN

    await asyncio.gather(*(client(number) for number in range(OPEN)))
    return {"requests": answered}


async def measured(server: subprocess.Popen, work: Any) -> dict:
    """Return what some work gives, and the server's processor time for a request in milliseconds."""
    before = processor_seconds(server)
    found = await work
    return found | {"cpu_ms": 1000 * (processor_seconds(server) - before) / found["requests"]}


async def in_turns(systems: list[str], servers: Servers, rounds: int, work: Any) -> dict[str, list[dict]]:
    """Do the same to some servers in turns, in another order each time."""
    found: dict[str, list[dict]] = {system: [] for system in systems}
    for _ in range(rounds):
        for system in random.sample(systems, len(systems)):
            found[system].append(await measured(servers[system], work(system)))
    return found


def middle(runs: list[dict], name: str) -> float:
    return statistics.median(run[name] for run in runs)


async def measure(session: aiohttp.ClientSession, servers: Servers, work: str, given: Any) -> dict:
    """Raise the rate until both servers are late; then ask all they can do."""
    texts = texts_of(work, 2000)
    difference = await require_same(session, texts)
    for system in SYSTEMS:  # the first calls cost more
        await saturate(session, texts, 2, system)
    left, rate, points = list(SYSTEMS), given.rate or RATES[work], []
    while left:
        ask_at = partial(load, session, texts, rate, max(given.seconds, 20 / rate))
        rounds = await in_turns(left, servers, given.rounds, ask_at)
        for system, runs in rounds.items():
            points.append({"system": system, "rate": rate, "p99_ms": middle(runs, "p99_ms"), "rounds": runs})
            print(work, system, f"{rate:.1f}/s", f"p99 {points[-1]['p99_ms']:.0f} ms", flush=True)
            if points[-1]["p99_ms"] > PROMISES_MS[-1] or any(run["failed"] for run in runs):
                left.remove(system)
        rate *= given.step
    most = await in_turns(
        list(SYSTEMS), servers, given.rounds, partial(saturate, session, texts, given.seconds)
    )
    return {
        "work": work, "words": WORK[work], "difference": difference, "points": points, "saturated": most,
        "load_average": os.getloadavg(),
    }  # fmt: skip


def kept(points: list[dict], system: str, promise_ms: float) -> str:
    """Return the highest rate at which a server kept a promise."""
    good = [p for p in points if p["system"] == system and p["p99_ms"] <= promise_ms]
    good = [p for p in good if not any(one["failed"] for one in p["rounds"])]
    return f"{max(p['rate'] for p in good):.1f}" if good else "none"


def table(records: list[dict]) -> str:
    ours, theirs = SYSTEMS
    head = ["texts", "words"]
    for promise in PROMISES_MS:
        head += [f"requests/s within {promise:g} ms, {ours}", theirs]
    head += [f"requests a processor second, {ours}", theirs, "times as many"]
    lines = header(head)
    for r in records:
        cells = [r["work"], f"{r['words'][0]} to {r['words'][1]}"]
        cells += [kept(r["points"], system, promise) for promise in PROMISES_MS for system in SYSTEMS]
        rates = [1000 / middle(r["saturated"][system], "cpu_ms") for system in SYSTEMS]
        cells += [f"{rate:.0f}" for rate in rates]
        lines.append("| " + " | ".join([*cells, f"{rates[0] / rates[1]:.2f}"]) + " |")
    return "\n".join(lines)


def read() -> list[dict]:
    return read_records(OUTPUT)


async def run(given: Any, servers: Servers) -> list[dict]:
    records = []
    timeout = aiohttp.ClientTimeout(total=60)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        for system in SYSTEMS:
            await until_ready(session, system)
        for work in given.work:
            found = await measure(session, servers, work, given)
            facts = {"threads": given.threads, "seconds": given.seconds, "promises_ms": PROMISES_MS}
            records.append(found | facts | {"versions": versions(), "hardware": describe_hardware()})
    return records


def main() -> None:
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", nargs="+", default=list(WORK), choices=WORK)
    parser.add_argument("--threads", type=int, default=1, help="of each server; the client needs some too")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--rate", type=float, default=0, help="the first, in requests a second (default: by the texts)"
    )
    parser.add_argument("--step", type=float, default=1.5, help="by which the rate grows")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = make_model(Path(folder) / "nano")
        servers = {system: start(system, model, given.threads) for system in SYSTEMS}
        try:
            records = asyncio.run(run(given, servers))
        finally:
            for server in servers.values():
                server.terminate()
                server.wait()
    write_records(records, given.output)
    print(table(records))


if __name__ == "__main__":
    main()
