"""The endpoints: each reads a request, asks the service, and shapes the answer."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from fastapi import APIRouter
from fastapi.responses import JSONResponse

from modernbert.errors import MbertError
from modernbert.index.hits import as_dict
from modernbert.serving.models import ServedClassifier, ServedEmbedder, Text
from modernbert.serving.refusals import Refused
from modernbert.serving.schemas import (
    EmbedAnswer,
    EmbedRequest,
    ErrorAnswer,
    OpenAIAnswer,
    OpenAIRequest,
    OpenAIUsage,
    OpenAIVector,
    PredictAnswer,
    PredictRequest,
    Ranked,
    RerankAnswer,
    RerankRequest,
    SearchAnswer,
    SearchRequest,
)
from modernbert.serving.searching import Query
from modernbert.serving.service import Answered, Service
from modernbert.wording import counted

WHY = {
    400: "The request makes no sense for this model",
    401: "The API key is missing or wrong",
    404: "There is no such model or index",
    408: "The request did not arrive in time",
    413: "The request is too large",
    422: "The request has not the form described here",
    429: "Too many texts wait already",
    500: "The model gives no numbers",
    503: "The server is stopping, or has too many connections",
    504: "No answer in time",
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": why} for status, why in WHY.items()
}


def routes(service: Service) -> APIRouter:
    """Return the endpoints of models and index."""
    router = APIRouter(responses=REFUSALS)

    @router.post("/predict", summary="Labels, entities or numbers")
    async def predict(asked: PredictRequest) -> PredictAnswer:
        """Predict texts as `mbert predict` does."""
        model = service.choose(asked.model, "predict")
        texts: list[Text] = [(text,) if isinstance(text, str) else tuple(text) for text in asked.texts]
        _require_shown(model, asked)
        found = await service.answer(model, texts)
        if isinstance(model, ServedClassifier):
            _require_numbers(found, model.name)
            predictions = [
                model.readable(logits_C, top=asked.top, calibrated=asked.calibrated)
                for logits_C in found.outputs
            ]
        else:
            predictions = found.outputs
        return PredictAnswer(model=model.name, predictions=predictions, truncated=found.truncated)

    @router.post("/embed", summary="Vectors")
    async def embed(asked: EmbedRequest) -> EmbedAnswer:
        """Embed texts as `mbert embed` does."""
        model = service.choose(asked.model, "embed")
        found = await service.answer(model, _single(asked.texts), asked.kind)
        vectors = [vector_D.tolist() for vector_D in found.outputs]
        return EmbedAnswer(model=model.name, size=len(vectors[0]), vectors=vectors, truncated=found.truncated)

    @router.post("/rerank", summary="Documents, the best answer first")
    async def rerank(asked: RerankRequest) -> RerankAnswer:
        """Order documents by how well each answers the query."""
        model = service.choose(asked.model, "rerank")
        found = await service.answer(model, [(asked.query, document) for document in asked.documents])
        _require_numbers(found, model.name)
        scores_N = np.array(found.outputs, np.float32)
        order = np.argsort(-scores_N, kind="stable")[: asked.top or None].tolist()
        results = [Ranked(index=i, score=_plain(scores_N[i])) for i in order]
        return RerankAnswer(model=model.name, results=results, truncated=found.truncated)

    @router.post("/v1/embeddings", summary="Vectors, in OpenAI's form")
    async def openai(asked: OpenAIRequest) -> OpenAIAnswer:
        """Embed texts for clients of OpenAI's API: the texts are read as documents."""
        model = service.choose(asked.model, "embed")
        assert isinstance(model, ServedEmbedder)
        size = model.loaded.size
        if asked.dimensions not in (None, size):
            raise Refused(400, f"{model.name} gives vectors of {size} numbers; it cannot shorten them")
        texts = [asked.input] if isinstance(asked.input, str) else asked.input
        found = await service.answer(model, _single(texts))
        data = [
            OpenAIVector(index=i, embedding=_encoded(vector_D, asked.encoding_format))
            for i, vector_D in enumerate(found.outputs)
        ]
        usage = OpenAIUsage(prompt_tokens=found.tokens, total_tokens=found.tokens)
        return OpenAIAnswer(data=data, model=model.name, usage=usage, truncated=found.truncated)

    @router.post("/search", summary="Search the index", response_model=SearchAnswer)
    async def search(asked: SearchRequest) -> JSONResponse:
        """Search the index as `mbert search` does."""
        if service.searching is None:
            raise Refused(404, "there is no index here: start the server with --index")
        query = Query(asked.query, asked.k, asked.hybrid)
        until = time.monotonic() + service.limits.timeout
        (hits,) = await service.run(service.searching.batcher, [query], [1], until)
        if isinstance(hits, MbertError):
            raise Refused(400, hits.what)
        return JSONResponse({"hits": as_dict(hits)})

    return router


def _single(texts: Sequence[str]) -> list[Text]:
    return [(text,) for text in texts]


def _require_shown(model: Any, asked: PredictRequest) -> None:
    """Raise Refused where the answer cannot be shown as asked."""
    if not isinstance(model, ServedClassifier):
        if asked.top or asked.calibrated:
            raise Refused(400, f"{model.name} tags words: 'top' and 'calibrated' are for labels of texts")
        return
    if asked.top and model.kind == "regression":
        raise Refused(400, f"{model.name} predicts a number: 'top' is for labels")
    if asked.top > model.task.num_outputs:
        raise Refused(
            400, f"'top' is {asked.top}, and {model.name} knows {counted(model.task.num_outputs, 'label')}"
        )
    if asked.calibrated and model.task.temperature == 1:
        raise Refused(400, f"{model.name} has no temperature: leave 'calibrated' out")


def _require_numbers(found: Answered, name: str) -> None:
    if not all(np.isfinite(output).all() for output in found.outputs):
        raise Refused(500, f"what {name} gives are not numbers (nan, infinite)")


def _plain(score: np.floating[Any]) -> float:
    """Return a number with all digits that fp32 knows, as `mbert predict` shows them."""
    return float(f"{score:.7g}")


def _encoded(vector_D: np.ndarray, form: str) -> list[float] | str:
    if form == "base64":
        return base64.b64encode(vector_D.astype("<f4").tobytes()).decode("ascii")
    numbers: list[float] = vector_D.tolist()
    return numbers
