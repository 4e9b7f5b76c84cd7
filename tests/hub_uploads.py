"""A Hugging Face Hub in miniature that takes uploads the way huggingface_hub sends them, without Xet.

POST /api/repos/create                      a repository; 409 where there is one
POST /api/validate-yaml                     the metadata of a card
POST /api/models/REPO/branch/BRANCH         a branch, as a copy of main
POST /api/models/REPO/preupload/BRANCH      which files are large
POST /REPO.git/info/lfs/objects/batch       where to put them
PUT  /lfs/SHA256                            a large file
POST /api/models/REPO/commit/BRANCH         all files at once, a line of JSON each
GET  /api/models/REPO[/revision/BRANCH]     what is there
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

import pytest

from modernbert.connection import connection

API = re.compile(r"/api/models/([^/]+/[^/]+?)(?:/(branch|preupload|commit|revision)/([^/?]+))?$")
BATCH = re.compile(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch")
TOKEN = "hf_may_write"
LFS = "application/vnd.git-lfs+json"


@dataclass
class Repo:
    """Branches and commits, each with the files that it has."""

    private: bool
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def put(self, branch: str, files: dict[str, bytes]) -> str:
        oid = hashlib.sha1(str(len(self.commits)).encode()).hexdigest()
        self.commits[oid], self.branches[branch] = files, oid
        return oid

    def files(self, revision: str = "main") -> dict[str, bytes]:
        return self.commits[self.branches.get(revision, revision)]


@dataclass
class Hub:
    """What it has, and what it was asked."""

    repos: dict[str, Repo] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)  # the beginning of a path, and the status
    ignored: tuple[str, ...] = ()

    def add(self, name: str, *, private: bool = False, **files: bytes) -> Repo:
        self.repos[name] = Repo(private)
        self.repos[name].put("main", {".gitattributes": b"", **files})
        return self.repos[name]


class Handler(http.server.BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self):
        self.send({})

    def do_GET(self):
        self.route(b"")

    def do_POST(self):
        self.route(self.rfile.read(int(self.headers["Content-Length"])))

    def do_PUT(self):
        self.route(self.rfile.read(int(self.headers["Content-Length"])))

    def route(self, sent: bytes) -> None:
        path = unquote(self.path)
        self.hub.asked.append(f"{self.command} {path}")
        for start, status in self.hub.refused.items():
            if path.startswith(start):
                return self.send({"error": "no"}, status)
        if path.startswith("/lfs/"):
            self.hub.large[path.removeprefix("/lfs/")] = sent
            return self.send({})
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self.send({"error": "Invalid username or password."}, 401)
        if path == "/api/validate-yaml":
            return self.send({"errors": [], "warnings": []})
        if path == "/api/repos/create":
            return self.create(json.loads(sent))
        if BATCH.match(path):
            return self.batch(json.loads(sent))
        name, what, revision = API.match(path).groups()
        if name not in self.hub.repos:
            return self.send({"error": "Repository not found"}, 404, "RepoNotFound")
        getattr(self, what if what and what != "revision" else "info")(
            self.hub.repos[name], revision or "main", sent
        )

    def create(self, wanted: dict) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        if name in self.hub.repos:
            return self.send({"error": "You already created this repo"}, 409)
        self.hub.add(name, private=wanted.get("visibility") == "private")
        self.send({"url": f"http://{self.headers['Host']}/{name}"})

    def info(self, repo: Repo, revision: str, sent: bytes) -> None:
        if revision not in {*repo.branches, *repo.commits}:
            return self.send({"error": "no such revision"}, 404, "RevisionNotFound")
        names = [{"rfilename": name} for name in repo.files(revision)]
        oid = repo.branches.get(revision, revision)
        self.send({"id": "a/b", "sha": oid, "private": repo.private, "siblings": names})

    def branch(self, repo: Repo, name: str, sent: bytes) -> None:
        repo.branches[name] = repo.branches["main"]
        self.send({})

    def preupload(self, repo: Repo, branch: str, sent: bytes) -> None:
        answers = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                "shouldIgnore": file["path"] in self.hub.ignored,
                "oid": None,
            }
            for file in json.loads(sent)["files"]
        ]
        self.send({"files": answers})

    def batch(self, wanted: dict) -> None:
        here = f"http://{self.headers['Host']}/lfs/"
        objects = [
            {**one, "actions": {"upload": {"href": here + one["oid"], "header": {}}}}
            for one in wanted["objects"]
        ]
        self.send({"transfer": "basic", "objects": objects}, kind=LFS)

    def commit(self, repo: Repo, branch: str, sent: bytes) -> None:
        header, *operations = map(json.loads, sent.splitlines())
        if header["value"].get("parentCommit") not in (None, repo.branches[branch]):
            return self.send({"error": "A commit has happened since."}, 412)
        files = dict(repo.files(branch))
        for operation in operations:
            kind, value = operation["key"], operation["value"]
            if kind == "deletedFile":
                del files[value["path"]]
            elif kind == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            else:
                files[value["path"]] = self.hub.large[value["oid"]]
                assert hashlib.sha256(files[value["path"]]).hexdigest() == value["oid"]
        oid = repo.put(branch, files)
        self.send(
            {
                "commitOid": oid,
                "commitUrl": f"http://{self.headers['Host']}/a/b/commit/{oid}",
                "success": True,
            }
        )

    def send(
        self, answer: dict, status: int = 200, code: str = "", *, kind: str = "application/json"
    ) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serve_uploads() -> Iterator[tuple[str, Hub]]:
    """Serve an empty Hub; yield its address and what it has."""
    hub = Hub()
    handler = type("Bound", (Handler,), {"hub": hub})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", hub
        finally:
            server.shutdown()


@contextlib.contextmanager
def reached(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """An empty Hub that is reachable, and a token for it."""
    from huggingface_hub import constants

    with serve_uploads() as (address, found):
        monkeypatch.delenv("MBERT_OFFLINE")
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", "none")
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        connection.cache_clear()
        yield found
