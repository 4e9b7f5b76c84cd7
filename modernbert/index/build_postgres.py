"""Bring an index in a PostgreSQL database up to date: embed what changed, then store it file by file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from modernbert.activity import phase
from modernbert.errors import BadOption
from modernbert.evaluation.embed import Embedder
from modernbert.index.before import Before
from modernbert.index.build import Indexed, Plan, cut_files, embed_missing, make_plan, take_known
from modernbert.index.made import open_made
from modernbert.index.postgres import PostgresStore, open_postgres
from modernbert.index.record import LOCK, MADE, Record
from modernbert.index.server import Address
from modernbert.places import make_folder, own_cache
from modernbert.temporary import held


def build_in_postgres(
    path: Path,
    embedder: Embedder,
    address: Address,
    *,
    anew: bool = False,
    exclude: Sequence[str] | None = None,
    text: Sequence[str] = (),
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Indexed:
    """Index a folder of code and text, or a table, in a database; see `build_index` for the arguments.

    Vectors are kept in mbert's cache until all are stored. So whatever ends this, a lost server too, the next
    one makes no vector again that was made, and stores the files that are missing. A search meanwhile finds
    each file as it was before or as it is after; where all is built `anew`, it finds the index from before
    until the new one is whole.

    Raises:
        BadOption, NotAvailable: the database cannot be used, now or at all.
        BadData, BadOption, DiskFull: as `build_index`.
    """
    with open_postgres(address, writing=True) as store:
        before = Before() if anew else _before(store)
    plan = make_plan(path, address, before, embedder, exclude=exclude, text=text)
    busy = BadOption("another mbert is indexing here", where=str(address), fix="Wait until it is done.")
    folder = own_cache() / "postgres" / hashlib.sha256(str(address).encode()).hexdigest()[:16]
    make_folder(folder)
    with held(folder, busy, name=LOCK):
        done = _update(folder, address, before, plan, embedder, on_progress, anew=anew)
        (folder / MADE).unlink()
    return done


def _before(store: PostgresStore) -> Before:
    if not store.exists():
        return Before()
    record = Record(**store.about(), chunks="", graph=None)
    return Before(record, Path(record["root"]), store.digests())


def _update(
    folder: Path,
    address: Address,
    before: Before,
    plan: Plan,
    embedder: Embedder,
    on_progress: Callable[[int, int], None],
    *,
    anew: bool,
) -> Indexed:
    with open_made(folder, plan.about["key"], embedder.size) as made:
        cut, texts = cut_files(plan.files)
        if plan.changed:
            with open_postgres(address) as store:
                take_known(made, {path: texts[path] for path in plan.changed}, store)
        embedded, cut_share = embed_missing(made, texts, embedder, on_progress)
        # A new connection: the one from before may have been closed while the model was running.
        with open_postgres(address, writing=True) as store:
            if not anew and _before(store) != before:
                fix = "Run the same command again."
                raise BadOption(
                    "the index was changed meanwhile, by another mbert", where=str(address), fix=fix
                )
            store.begin(plan.about, embedder.size, anew=anew)
            store.forget(plan.removed)
            with phase("storing", len(plan.files), "files") as now:
                for file in plan.files:
                    store.put(file.path, file.digest, cut[file.path], made.vectors(texts[file.path]))
                    now.advance()
            store.finish()
            chunks = store.count()
    return plan.outcome(
        before,
        folder=address,
        chunks=chunks,
        embedded=embedded,
        cut=cut_share,
        max_length=embedder.settings.max_length,
    )
