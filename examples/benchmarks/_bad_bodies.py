"""Bad requests as bytes, which bad_requests.py sends.

hypothesis breaks the server's own schemas; a seeded generator makes the rest. Most are bad. Some are allowed
by chance, such as any string in place of a text.
"""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

# What each endpoint would answer, or refuse in words because no model or index is for it.
GOOD: dict[str, dict[str, Any]] = {
    "/predict": {"texts": ["a word in quotes"], "top": 1},
    "/embed": {"texts": ["where are retries handled"], "kind": "query"},
    "/v1/embeddings": {"input": "where are retries handled", "dimensions": None},
    "/rerank": {"query": "retries", "documents": ["It tries three times."], "top": 0},
    "/search": {"query": "retries", "k": 3},
}
MAX_BODY = 1 << 20
JSON = "application/json"
NOT_UTF8 = (b"\xff", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\x80" * 9, b"\xfe\xff")
NUMBERS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "-1e999",
    "9" * 400,
    "9" * 5000,
    "-1",
    "0.5",
    "1e3",
    "2e-999",
)
LENGTHS = (b"-1", b"ten", b"", b"1, 2", b"0x10", b"+5")
CODINGS = (b"chunked", b"gzip", b"chunked, chunked")
TARGETS = (b"", b"\x00/", b"/ /", b"\xff", b"http://[", b"//")
KINDS = (
    "", "text/plain", "text/xml", "multipart/form-data", "multipart/form-data; boundary=x", "x", ";",
    "application/x-www-form-urlencoded", f"{JSON}; charset=utf-99", f"{JSON}, text/html", "é/ü",
)  # fmt: skip


@dataclass(frozen=True)
class Bad:
    """A request as it goes over the wire.

    Attributes:
        parts: sent one after the other, `pause` seconds apart.
        ends: is the request whole, so that an answer is due?
    """

    kind: str
    parts: tuple[bytes, ...]
    pause: float = 0.0
    ends: bool = True


def post(path: str, body: bytes, *, content_type: str = JSON, method: str = "POST", more: str = "") -> bytes:
    kind = f"Content-Type: {content_type}\r\n" if content_type else ""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{kind}{more}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body


def of_schemas(openapi: dict, count: int) -> list[bytes]:
    """Return requests that hypothesis makes along the schemas of an OpenAPI document, and breaks."""
    bodies = {
        path: at["post"]["requestBody"]["content"][JSON]["schema"]
        for path, at in openapi["paths"].items()
        if "post" in at
    }
    each = -(-count // len(bodies))
    values = {
        path: _drawn(_broken(_resolved(schema, openapi), openapi), each) for path, schema in bodies.items()
    }
    return [post(path, json.dumps(value).encode()) for path in values for value in values[path]][:count]


def _drawn(strategy: st.SearchStrategy, count: int) -> list[object]:
    """Return examples of a strategy, the same in each call."""
    found: list[object] = []

    @seed(0)
    @settings(
        max_examples=count, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def keep(value: object) -> None:
        found.append(value)

    keep()
    return found


def _resolved(schema: dict, openapi: dict) -> dict:
    if "$ref" in schema:
        return dict(openapi["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    return schema


def _anything() -> st.SearchStrategy:
    plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    return st.recursive(
        plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
    )


def _valid(schema: dict, openapi: dict) -> st.SearchStrategy:
    schema = _resolved(schema, openapi)
    if "anyOf" in schema:
        return st.one_of(*(_valid(one, openapi) for one in schema["anyOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("type") == "array":
        return st.lists(_valid(schema["items"], openapi), min_size=schema.get("minItems", 0), max_size=3)
    simple = {"string": st.text(max_size=20), "integer": st.integers(0, 3), "boolean": st.booleans()}
    return simple.get(schema.get("type", ""), st.none())


def _broken(schema: dict, openapi: dict) -> st.SearchStrategy:
    """Return the object with a field of another kind, without one, with one too many; or anything at all."""
    fields = {name: _valid(one, openapi) for name, one in schema["properties"].items()}
    whole, names = st.fixed_dictionaries(fields), sorted(fields)
    return st.one_of(
        st.builds(lambda it, name, value: it | {name: value}, whole, st.sampled_from(names), _anything()),
        st.builds(lambda it, name: {k: v for k, v in it.items() if k != name}, whole, st.sampled_from(names)),
        st.builds(lambda it, name, value: it | {name: value}, whole, st.text(), _anything()),
        _anything(),
    )


def _body(draw: random.Random) -> tuple[str, bytes]:
    path = draw.choice(sorted(GOOD))
    return path, json.dumps(GOOD[path]).encode()


def oversized(draw: random.Random) -> Bad:
    path, body = _body(draw)
    size = draw.randrange(MAX_BODY + 1, 3 * MAX_BODY)
    said = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {JSON}\r\n"
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    return Bad("oversized", draw.choice((
        (f"{said}Content-Length: {'9' * draw.randrange(8, 40)}\r\n\r\n".encode(),),
        (post(path, body + b" " * size),),
        (f"{said}Transfer-Encoding: chunked\r\n\r\n".encode(), *[chunk] * (size // 0x10000 + 2)),
    )))  # fmt: skip


def slow(draw: random.Random) -> Bad:
    """Most of a body, and the rest never."""
    whole = post(*_body(draw))
    return Bad("slow", tuple(whole[:-10][i : i + 60] for i in range(0, len(whole) - 10, 60)), pause=0.2)


def not_utf8(draw: random.Random) -> Bad:
    path, body = _body(draw)
    if draw.random() < 0.1:
        return Bad("not UTF-8", (post(path, body.decode().encode(draw.choice(("utf-16", "utf-32")))),))
    at = draw.randrange(len(body))
    return Bad("not UTF-8", (post(path, body[:at] + draw.choice(NOT_UTF8) + body[at:]),))


def broken_http(draw: random.Random) -> Bad:
    whole = post(*_body(draw))
    head, _, body = whole.partition(b"\r\n\r\n")
    length = b"Content-Length: " + str(len(body)).encode()
    made = draw.choice((
        draw.randbytes(draw.randrange(1, 400)) + b"\r\n\r\n",
        whole.replace(b"HTTP/1.1", draw.choice((b"HTTP/9.9", b"HTTP/1", b"FTP/1.1", b"", b"http/1.1"))),
        whole.replace(b"Host: 127.0.0.1\r\n", b""),
        whole.replace(b"Host: 127.0.0.1", b"Host: " + draw.randbytes(8).replace(b"\n", b"")),
        whole.replace(length, b"Content-Length: " + draw.choice(LENGTHS)),
        whole.replace(length, length + b"\r\nContent-Length: 1"),
        whole.replace(length, b"Transfer-Encoding: " + draw.choice(CODINGS)),
        whole.replace(b"POST /", b"POST " + draw.choice(TARGETS)),
        head + b"\r\nX: " + b"a" * draw.randrange(70_000, 200_000) + b"\r\n\r\n" + body,
        head + b"\r\nX" * 200 + b"\r\n\r\n" + body,
        head.replace(b"\r\n", b"\n", 1) + b"\r\n: x\r\n\r\n" + body,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + draw.randbytes(50) + b"\r\n\r\n",
    ))  # fmt: skip
    return Bad("broken HTTP", (made,))


def unfinished(draw: random.Random) -> Bad:
    """Part of a request: then the client leaves."""
    whole = post(*_body(draw))
    return Bad("left in the middle", (whole[: draw.randrange(1, len(whole) - 1)],), ends=False)


def content_type(draw: random.Random) -> Bad:
    path, body = _body(draw)
    more = draw.choice(("", "Content-Encoding: gzip\r\n", "Expect: 200-ok\r\n", "Accept: x/y\r\n"))
    return Bad("content type", (post(path, body, content_type=draw.choice(KINDS), more=more),))


def deep(draw: random.Random) -> Bad:
    path, _ = _body(draw)
    depth = int(10 ** draw.uniform(1, 5))
    left, right = draw.choice((("[", "]"), ('{"texts":', "}"), ('[{"a":', "}]"), ("[", "")))
    value = left * depth + "1" + right * depth
    return Bad("deep JSON", (post(path, draw.choice((value, f'{{"texts": {value}}}')).encode()[:MAX_BODY]),))


def numbers(draw: random.Random) -> Bad:
    path = draw.choice(sorted(GOOD))
    field = draw.choice([*GOOD[path], "top", "k"])
    body = json.dumps(GOOD[path] | {field: "HERE"}).replace('"HERE"', draw.choice(NUMBERS))
    return Bad("numbers", (post(path, body.encode()),))


def not_json(draw: random.Random) -> Bad:
    path, body = _body(draw)
    made = draw.choice((
        body[: draw.randrange(len(body))], b"", b"\xef\xbb\xbf" + body, body.replace(b'"', b"'"), body + body,
        body[:-1] + b",}", body.replace(b"{", b"{//\n", 1), draw.randbytes(50), b"null", b'"\\ud800"',
        body.replace(b"re", b"\\ud800", 1), body.replace(b"re", b"\x00", 1),
    ))  # fmt: skip
    return Bad("not JSON", (post(path, made),))


def elsewhere(draw: random.Random) -> Bad:
    """Another path or method."""
    path, body = _body(draw)
    paths = ("/../etc/passwd", "/%00", "/predict/", "/%ff%fe", "/predict?" + "a=1&" * 500, "//predict", "*",
             "/static/..%2f..%2fx", "/v1/embeddings/x", "/docs", "/" + "a" * 5000)  # fmt: skip
    if draw.random() < 0.5:
        return Bad("path or method", (post(draw.choice(paths), body),))
    method = draw.choice(
        ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "HEAD", "CONNECT", "BREW", "post")
    )
    return Bad("path or method", (post(path, body, method=method),))


def too_much(draw: random.Random) -> Bad:
    """Too many texts, too long ones, none, or a model that is not there."""
    path = draw.choice(("/predict", "/embed", "/rerank", "/v1/embeddings"))
    field = {"/rerank": "documents", "/v1/embeddings": "input"}.get(path, "texts")
    asked = draw.choice((
        {field: ["x"] * draw.randrange(257, 50_000)}, {field: ["word " * draw.randrange(20_000, 60_000)]},
        {field: []}, {field: [""]}, {field: [["a", "b", "c"]]}, {field: ["x"], "model": "\x00nosuch"},
        {field: ["\x00\u202e\U0001f600" * 5000]}, {field: ["a" * 300_000]},
    ))  # fmt: skip
    return Bad("too much or nothing", (post(path, json.dumps(GOOD[path] | asked).encode()),))


# Of 10,000 requests; broken schemas are the rest.
SHARES: dict[Callable[[random.Random], Bad], int] = {
    oversized: 300, slow: 200, not_utf8: 1000, broken_http: 1500, unfinished: 500, content_type: 800,
    deep: 400, numbers: 900, not_json: 600, elsewhere: 500, too_much: 200,
}  # fmt: skip


def all_kinds(openapi: dict, count: int) -> Iterator[list[Bad]]:
    """Yield the requests of each kind, `count` altogether."""
    draw = random.Random(0)
    made = [[make(draw) for _ in range(max(1, share * count // 10_000))] for make, share in SHARES.items()]
    schemas = of_schemas(openapi, max(1, count - sum(map(len, made))))
    yield [Bad("schema", (whole,)) for whole in schemas]
    yield from made
