"""What a Hub can do wrong: each takes the place of one of its answers. See `hub.serve`."""

from __future__ import annotations

import json

from hub import Handler, revision_id


def hang(handler: Handler) -> None:
    """Say nothing, and keep the connection."""
    handler.over.wait(60)


def close(handler: Handler) -> None:
    """End the connection without an answer."""
    handler.close_connection = True


def garbage(handler: Handler) -> None:
    """Speak something that is no HTTP."""
    handler.wfile.write(b"\x00\x01\x02 not http\r\n\r\n")
    handler.close_connection = True


def wait_an_hour(handler: Handler) -> None:
    """Ask for patience."""
    handler.send(b"", {"Retry-After": "3600"}, body=False, status=429)


def broken(handler: Handler) -> None:
    """Answer that it cannot."""
    handler.send(b"", {}, body=False, status=500)


def loop(handler: Handler) -> None:
    """Send to where the answer is the same."""
    handler.send(b"", {"Location": f"/again{handler.path}"}, body=False, status=302)


def page(handler: Handler) -> None:
    """Answer with a web page, as a proxy's log-in does."""
    handler.send(b"<html>Please log in</html>", {}, body=True)


def half_a_json(handler: Handler) -> None:
    """Answer with JSON that ends too soon."""
    handler.send(b'{"id": ', {}, body=True)


def another_json(handler: Handler) -> None:
    """Answer with JSON of another kind."""
    handler.send(b'[1, {"siblings": 3}]', {}, body=True)


def drip_headers(handler: Handler) -> None:
    """Send a header that never ends, a letter at a time."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not handler.over.wait(0.1):
        handler.wfile.write(b"x")


def listing(names: list[str], commit: str = "a" * 40):
    """Name other files, or another commit."""

    def answer(handler: Handler) -> None:
        siblings = [{"rfilename": name} for name in names]
        handler.send(json.dumps({"id": "a/b", "sha": commit, "siblings": siblings}).encode(), {}, body=True)

    return answer


def headers(**changed: str):
    """Announce a file with other headers."""

    def answer(handler: Handler) -> None:
        own = {"ETag": f'"{"b" * 64}"', "X-Repo-Commit": revision_id("main")}
        named = {name.replace("_", "-"): value for name, value in changed.items()}
        handler.send(b"{}", own | named, body=False)

    return answer


def body(change):
    """Send a file as `change` makes it of (handler, content)."""

    def answer(handler: Handler) -> None:
        sent = []
        handler.wfile, out = (
            type("Taken", (), {"write": sent.append, "flush": lambda self: None})(),
            handler.wfile,
        )
        handler.answer_well(body=True)
        handler.wfile = out
        head, content = b"".join(sent).split(b"\r\n\r\n", 1)
        out.write(head + b"\r\n\r\n")
        change(handler, content)
        handler.close_connection = True

    return answer


def _drip(handler: Handler, content: bytes) -> None:
    for i in range(len(content)):
        if handler.over.wait(0.1):
            return
        handler.wfile.write(content[i : i + 1])


def _stall(handler: Handler, content: bytes) -> None:
    handler.wfile.write(content[: len(content) // 2])
    handler.over.wait(60)


FAULTS = {
    "hang": hang,
    "close": close,
    "garbage": garbage,
    "wait an hour": wait_an_hour,
    "broken": broken,
    "loop": loop,
    "drip headers": drip_headers,
}
API_FAULTS = FAULTS | {
    "page": page,
    "half a JSON": half_a_json,
    "another JSON": another_json,
    "no files": listing([]),
    "commit": listing(["config.json"], "../" * 12 + "tmp/evil"),
    **{
        f"name {name[:12]!r}": listing([name])
        for name in (
            "../../evil.json", "/tmp/evil.json", "a/../../evil.json", "..%2f..%2fevil.json", "..\\evil.json",
            "x\0y.json", "a" * 300 + ".json", "a//b.json", "\ud800.json", "a\nb.json",
        )
    },
}  # fmt: skip
HEAD_FAULTS = FAULTS | {
    "etag": headers(ETag='"../../../evil"'),
    "linked etag": headers(X_Linked_ETag='"/tmp/evil"'),
    "commit": headers(X_Repo_Commit="../" * 12 + "tmp/evil"),
}
BODY_FAULTS = {name: fault for name, fault in FAULTS.items() if name != "loop"} | {
    "page": page,
    "wrong byte": body(lambda h, content: h.wfile.write(bytes([content[0] ^ 1]) + content[1:])),
    "short": body(lambda h, content: h.wfile.write(content[: len(content) // 2])),
    "stall": body(_stall),
    "drip": body(_drip),
}
