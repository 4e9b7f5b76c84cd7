"""The application: endpoints, the state of the server, the page, and errors as sentences."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from modernbert.serving.guard import Guard
from modernbert.serving.logs import Log
from modernbert.serving.metrics import CONTENT_TYPE, Metrics
from modernbert.serving.refusals import Refused, mistake
from modernbert.serving.routes import REFUSALS, routes
from modernbert.serving.schemas import State
from modernbert.serving.service import Service
from modernbert.version import __version__

ABOUT = "Models of mbert: labels, vectors, reranking and search. Texts are read in packed batches."
# The page runs its own script and asks this server alone.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def make_app(service: Service, metrics: Metrics, log: Log, *, key: str | None, only_loopback: bool) -> Guard:
    """Return the ASGI application. When it ends it answers what the service has taken."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(service.close)

    app = FastAPI(
        title="mbert",
        version=__version__,
        description=ABOUT,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(routes(service))
    _add_state(app, service, metrics)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _mistake)
    return Guard(
        app, service.limits, metrics, log, key=key, only_loopback=only_loopback,
        is_closing=lambda: service.is_closing,
    )  # fmt: skip


def _add_state(app: FastAPI, service: Service, metrics: Metrics) -> None:
    page = files("modernbert.serving").joinpath("page.html").read_text(encoding="utf-8")
    refused: dict[int | str, dict[str, Any]] = {401: REFUSALS[401]}

    @app.get("/health")
    async def health() -> State:
        """Tell that the process lives."""
        return State(status="ok")

    @app.get("/ready", responses={503: {"model": State}})
    async def ready(response: Response) -> State:
        """Tell whether requests are taken: 503 while the server stops or a queue is full."""
        response.status_code = 200 if service.is_ready else 503
        return State(status="ready" if service.is_ready else "busy")

    @app.get("/v1/models", responses=refused)
    async def models() -> dict[str, Any]:
        """List the models and what each can do, in OpenAI's form."""
        data = [{"id": name, "object": "model", **model.facts()} for name, model in service.models.items()]
        return {"object": "list", "data": data, "index": service.searching is not None}

    @app.get("/metrics", responses=refused, response_class=Response)
    async def counted() -> Response:
        """Show the counters in Prometheus's text format."""
        for name, batcher in service.batchers.items():
            metrics.waiting.labels(name).set(batcher.waiting)
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    @app.get("/", include_in_schema=False)
    async def try_it() -> HTMLResponse:
        return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})


async def _refused(_: Any, refused: Any) -> JSONResponse:
    return JSONResponse(refused.body, refused.status, headers=refused.headers)


async def _invalid(_: Any, error: Any) -> JSONResponse:
    """Say what is wrong and where, without what was sent."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return await _refused(_, Refused(422, f"{where}: {first['msg']}".encode("ascii", "replace").decode()))


async def _http(_: Any, error: Any) -> JSONResponse:
    refused = Refused(error.status_code, str(error.detail))
    return JSONResponse(refused.body, refused.status, headers=error.headers)


async def _mistake(_: Any, error: Any) -> JSONResponse:
    """Answer; the guard logs it."""
    return await _refused(_, mistake())
