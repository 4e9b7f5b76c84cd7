"""10,000 bad requests to a running `mbert serve`: what it answers, and whether it still works.

    pip install -e '.[serve,dev]'
    python examples/benchmarks/bad_requests.py

It serves modernbert-nano and a classifier that is trained on it for a moment, on loopback. Requests are made
by _bad_bodies.py. The script fails where an answer is a 5xx, or a whole request gets none; and where a good
request, asked after each kind, is not answered as the same model answers it here. Memory is the server's
resident memory.
"""

import argparse
import asyncio
import csv
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import aiohttp
import hypothesis
import psutil
from _bad_bodies import Bad, all_kinds
from _common import RESULTS, header, keep_record, processor_of, read_records

import modernbert
from modernbert.model.device import describe_hardware
from modernbert.version import versions

OUTPUT = RESULTS / "bad_requests.json"
# Connections that are open at once, and seconds until an answer must be there.
OPEN, PATIENCE = 32, 30.0
TEXTS = ['The "with" statement calls __enter__.', "It was a quiet year, and nothing was changed."]


def trained(place: Path) -> str:
    """Return the name of a classifier that knows which paragraphs of Python's documentation have code."""
    paragraphs = [part for text in topics.values() for part in text.split("\n\n") if part.strip()][:200]
    rows = [
        {"text": " ".join(part.split()), "code": "yes" if part[0] == " " else "no"} for part in paragraphs
    ]
    path = place / "paragraphs.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["text", "code"])
        writer.writeheader()
        writer.writerows(rows)
    return modernbert.finetune(
        path, "modernbert-nano", label="code", epochs=1, runs_dir=place, name="code"
    ).name


def start(name: str, place: Path) -> tuple[subprocess.Popen, str]:
    """Start the server on a free port; return it with its address."""
    code = "from modernbert.cli.entry import main; main()"
    line = [sys.executable, "-c", code, "serve", name, "modernbert-nano", "--port", "0", "--device", "cpu"]
    with (place / "log").open("w") as log:
        server = subprocess.Popen(
            [*line, "--precision", "fp32", "--runs-dir", str(place)], stdout=subprocess.PIPE, stderr=log,
            text=True,
        )  # fmt: skip
    assert server.stdout is not None
    told = server.stdout.readline()
    return server, told.partition(" at ")[2].split()[0]


async def send(bad: Bad, port: int) -> str:
    """Return the status of the answer, or what came instead."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in bad.parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(bad.pause)
    except ConnectionError:
        pass  # it answered before it had read all
    try:
        if not bad.ends:
            return "client left"
        head = await asyncio.wait_for(reader.readline(), PATIENCE)
    except ConnectionError:
        return "cut"
    except TimeoutError:
        return "no answer"
    finally:
        writer.close()
    found = re.match(rb"HTTP/1\.\d (\d{3})", head)
    return found[1].decode() if found else "closed"


async def send_all(some: list[Bad], port: int) -> Counter[str]:
    """Send requests, so many at once; slow ones all at once, as each takes the server's patience."""
    places = asyncio.Semaphore(len(some) if some[0].pause else OPEN)

    async def one(bad: Bad) -> str:
        async with places:
            return await send(bad, port)

    return Counter(await asyncio.gather(*(one(bad) for bad in some)))


async def require_good(session: aiohttp.ClientSession, url: str, expected: list[dict[str, Any]]) -> None:
    """Fail where the server does not answer a good request as the model does."""
    async with session.post(f"{url}/predict", json={"texts": TEXTS}) as answer:
        assert answer.status == 200, await answer.text()
        found = (await answer.json())["predictions"]
    for own, served in zip(expected, found, strict=True):
        assert own["prediction"] == served["prediction"]
        for label, share in own["probabilities"].items():
            assert abs(share - served["probabilities"][label]) < 1e-5, (own, served)


async def run(given: argparse.Namespace, server: subprocess.Popen, url: str, expected: list[dict]) -> dict:
    process, kinds = psutil.Process(server.pid), []
    began = time.perf_counter()
    async with aiohttp.ClientSession() as session:
        for _ in range(20):  # memory grows with the first answers
            await require_good(session, url, expected)
        before = process.memory_info().rss / 2**20
        async with session.get(f"{url}/openapi.json") as answer:
            openapi = await answer.json()
        for some in all_kinds(openapi, given.requests):
            answers = await send_all(some, int(url.rpartition(":")[2]))
            await require_good(session, url, expected)
            mib = process.memory_info().rss / 2**20
            kinds.append({"kind": some[0].kind, "requests": len(some), "answers": answers, "mib": mib})
            print(kinds[-1], flush=True)
    require_refused(kinds)
    return {"kinds": kinds, "mib_before": before, "seconds": time.perf_counter() - began}


def require_refused(kinds: list[dict]) -> None:
    """Fail where the server was at fault, or gave no answer."""
    for kind in kinds:
        wrong = [name for name in kind["answers"] if name.startswith("5") or name == "no answer"]
        assert not wrong, f"{kind['kind']}: {kind['answers']}"


def table(records: list[dict]) -> str:
    lines = []
    for record in records:
        head = ["requests", "number", "answers", "MiB after", "processor, threads"]
        lines += header(head)
        lines.append(f"| before | 0 | | {record['mib_before']:,.0f} | {processor_of(record)} |")
        total: Counter[str] = Counter()
        for kind in record["kinds"]:
            total.update(kind["answers"])
            lines.append(_row(kind["kind"], kind["answers"], kind["mib"]))
        lines.append(_row("all", total, record["kinds"][-1]["mib"]))
    return "\n".join(lines)


def _row(name: str, answers: dict[str, int], mib: float) -> str:
    shown = ", ".join(f"{status}: {count:,}" for status, count in sorted(answers.items()))
    return f"| {name} | {sum(answers.values()):,} | {shown} | {mib:,.0f} | |"


def read() -> list[dict]:
    return read_records(OUTPUT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        name = trained(Path(folder))
        own = modernbert.load(name, runs_dir=folder, device="cpu", precision="fp32")
        expected = own.predict(TEXTS)
        server, url = start(name, Path(folder))
        try:
            record = asyncio.run(run(given, server, url, expected))
            assert server.poll() is None, "the server has ended"
        finally:
            server.terminate()
            server.wait()
            text = (Path(folder) / "log").read_text()
        assert "Traceback" not in text and '"event": "error"' not in text, text[-2000:]
    record |= {
        "requests": given.requests,
        "hypothesis": hypothesis.__version__,
        "load_average": os.getloadavg(),
    }
    record |= {"hardware": describe_hardware(), "versions": versions()}
    keep_record(record, given.output, "requests")
    print(table([record]))


if __name__ == "__main__":
    main()
