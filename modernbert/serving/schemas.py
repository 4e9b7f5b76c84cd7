"""Requests and answers as OpenAPI describes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _encodable(text: str) -> str:
    """Refuse half of a surrogate pair, which JSON can spell and no tokenizer can read."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a lone surrogate is no text") from None
    return text


Text = Annotated[str, AfterValidator(_encodable)]
Model = Annotated[Text | None, Field(description="Which model answers; needed where several could.")]
Truncated = Annotated[
    list[int], Field(description="Places of the texts, from 0, whose ends the model did not read.")
]


class _Request(BaseModel):
    """A request: nothing that is not known, and no number written as text."""

    model_config = ConfigDict(extra="forbid", strict=True)


class PredictRequest(_Request):
    """Texts to predict."""

    texts: list[Text | list[Text]] = Field(
        min_length=1, description="Texts; for a model of pairs, lists of two.",
        examples=[["The striker scored twice in the second half."]],
    )  # fmt: skip
    model: Model = None
    top: int = Field(
        default=0, ge=0, le=100_000, description="Labels to name, the most probable first; 0: all."
    )
    calibrated: bool = Field(default=False, description="Probabilities with the run's temperature.")


class PredictAnswer(BaseModel):
    """As `mbert predict` gives them: `prediction`, and by the kind of model `confidence`, `probabilities`."""

    model: str
    predictions: list[dict[str, Any]]
    truncated: Truncated


class EmbedRequest(_Request):
    """Texts to turn into vectors."""

    texts: list[Text] = Field(min_length=1, examples=[["where are retries handled"]])
    model: Model = None
    kind: Literal["document", "query"] = Field(
        default="document", description="Which prompt goes before them."
    )


class EmbedAnswer(BaseModel):
    """As `mbert embed` gives them."""

    model: str
    size: int
    vectors: list[list[float]]
    truncated: Truncated


class RerankRequest(_Request):
    """Documents to order by how well each answers a query."""

    query: Text = Field(examples=["how are retries handled"])
    documents: list[Text] = Field(min_length=1, examples=[["It tries three times.", "It paints the window."]])
    model: Model = None
    top: int = Field(default=0, ge=0, le=100_000, description="Documents to return; 0: all.")


class Ranked(BaseModel):
    """A document's place in the request, from 0, and its score: higher is better."""

    index: int
    score: float


class RerankAnswer(BaseModel):
    """The best document first."""

    model: str
    results: list[Ranked]
    truncated: Truncated


class SearchRequest(_Request):
    """What to look for in the index."""

    query: Text = Field(min_length=1, max_length=10_000, examples=["where are retries handled"])
    k: int = Field(default=10, ge=1, le=1000, description="Results.")
    hybrid: bool = Field(default=False, description="By words too (BM25).")


class SearchAnswer(BaseModel):
    """As `mbert search --json` gives them, the best first."""

    hits: list[dict[str, Any]]


class OpenAIRequest(BaseModel):
    """As OpenAI's clients send it; fields that are not named here are left unread."""

    model_config = ConfigDict(strict=True)

    input: Text | list[Text] = Field(examples=["where are retries handled"], min_length=1)
    model: Model = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(default=None, ge=1, description="Must be the model's own size.")


class OpenAIVector(BaseModel):
    """A vector: numbers, or base64 of little-endian fp32."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class OpenAIUsage(BaseModel):
    """Tokens read."""

    prompt_tokens: int
    total_tokens: int


class OpenAIAnswer(BaseModel):
    """As OpenAI's clients read it, and which texts were cut."""

    object: Literal["list"] = "list"
    data: list[OpenAIVector]
    model: str
    usage: OpenAIUsage
    truncated: Truncated


class Problem(BaseModel):
    """What is wrong, in a sentence."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorAnswer(BaseModel):
    """Every refusal."""

    error: Problem


class State(BaseModel):
    """Is the server alive, or ready?"""

    status: str
