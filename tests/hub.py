"""A Hugging Face Hub in miniature: serves a folder over HTTP the way the client library expects."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

# /datasets/owner/name/resolve/REVISION/file, or without `datasets/` for a model.
FILE = re.compile(r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
LISTING = re.compile(r"/api/(models|datasets)/([^/?]+/[^/?]+)(?:/(revision|tree|paths-info)/([^/?]+))?")


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers for the files under `root/{datasets,models}/owner/name/`, at every revision but `gone`."""

    root: Path
    asked: list[str]
    # (part, what it does in place of the right answer): a part is api, head or body.
    fault: tuple[str, Callable[[Handler], None]] | None = None
    over: threading.Event

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        self.asked.append(self.path)
        if self.path == "/":
            return self.send(b"ok", {}, body=body)
        part = "api" if self.path.startswith("/api/") else "body" if body else "head"
        if self.fault and self.fault[0] == part:
            return self.fault[1](self)
        self.answer_well(body=body)

    def answer_well(self, *, body: bool) -> None:
        if listing := LISTING.match(self.path):
            return self.list_files(*listing.groups())
        found = FILE.match(self.path.removeprefix("/again"))
        kind, repo, revision, name = found.groups() if found else ("", "", "", "")
        path = self.root / (kind or "models") / repo / name
        if not found or not path.is_file() or revision == "gone":
            code = "RevisionNotFound" if revision == "gone" else "EntryNotFound"
            return self.send(b"", {"X-Error-Code": code}, body=body, status=404)
        content = path.read_bytes()
        etag = hashlib.sha256(content).hexdigest()
        self.send(content, {"ETag": f'"{etag}"', "X-Repo-Commit": revision_id(revision)}, body=body)

    def do_POST(self):
        self.sent = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(body=True)

    def list_files(self, kind: str, repo: str, what: str | None, revision: str | None) -> None:
        folder = self.root / kind / repo
        if not folder.is_dir():
            return self.send(b"", {"X-Error-Code": "RepoNotFound"}, body=True, status=404)
        names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
        siblings = [{"rfilename": name} for name in names]
        tree = [
            {"type": "file", "path": n, "size": (folder / n).stat().st_size, "oid": "0" * 40} for n in names
        ]
        info = {"id": repo, "sha": revision_id(revision or "main"), "siblings": siblings}
        if what == "paths-info":
            tree = [entry for entry in tree if entry["path"] in json.loads(self.sent)["paths"]]
        self.send(json.dumps(info if what in (None, "revision") else tree).encode(), {}, body=True)

    def send(self, content: bytes, headers: dict[str, str], *, body: bool, status: int = 200) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_):
        pass


def revision_id(revision: str) -> str:
    """Return the commit that a branch stands for: 40 hexadecimal digits."""
    return revision if len(revision) == 40 else "a" * 40


@contextlib.contextmanager
def serve(
    root: Path, fault: tuple[str, Callable[[Handler], None]] | None = None
) -> Iterator[tuple[str, list[str]]]:
    """Serve `root`; yield the address and the list of paths asked for."""
    asked: list[str] = []
    over = threading.Event()
    handler = type("Bound", (Handler,), {"root": root, "asked": asked, "fault": fault, "over": over})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            over.set()
            server.shutdown()
