"""What a server counts, in Prometheus's text format."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE

from modernbert.version import __version__

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
TOKENS = (32, 128, 512, 1024, 2048, 4096, 16_384, 65_536)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

__all__ = ["CONTENT_TYPE", "Metrics"]


class Metrics:
    """Counters of one server: of its own, so that two servers in a process do not meet."""

    def __init__(self) -> None:
        """Set all to 0."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = self._counter("requests", "Requests answered.", "path", "status")
        self.seconds = Histogram(
            "mbert_request_seconds", "Time from a request's first byte to its answer.", ("path",),
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self.open = Gauge("mbert_open_requests", "Requests that wait for an answer.", registry=self.registry)
        self.texts = self._counter("texts", "Texts read.", "model")
        self.truncated = self._counter("truncated_texts", "Texts longer than the model reads.", "model")
        self.batch_tokens = self._histogram("batch_tokens", "Tokens of a batch.", TOKENS)
        self.batch_texts = self._histogram("batch_texts", "Texts of a batch.", TEXTS)
        self.batch_seconds = self._histogram("batch_seconds", "Time that a batch ran.", SECONDS)
        self.waiting = Gauge(
            "mbert_waiting_tokens", "Tokens that wait for a model.", ("model",), registry=self.registry
        )
        self.shadow = self._counter("shadow_texts", "Texts that the shadow read too, by outcome.", "outcome")
        info = Gauge("mbert_info", "The version.", ("version",), registry=self.registry)
        info.labels(__version__).set(1)

    def _counter(self, name: str, help: str, *labels: str) -> Counter:
        return Counter(f"mbert_{name}", help, labels, registry=self.registry)

    def _histogram(self, name: str, help: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"mbert_{name}", help, ("model",), buckets=buckets, registry=self.registry)

    def on_batch(self, model: str) -> Callable[[int, int, float], None]:
        """Return what counts a model's batches."""

        def count(texts: int, tokens: int, seconds: float) -> None:
            self.batch_texts.labels(model).observe(texts)
            self.batch_tokens.labels(model).observe(tokens)
            self.batch_seconds.labels(model).observe(seconds)

        return count

    def text(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        return generate_latest(self.registry)
