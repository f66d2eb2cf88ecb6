"""What the service counts, in the format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

# A path of the sender's own becomes no series of its own.
ROUTES = ("/predict", "/infer", "/health", "/ready", "/metrics", "/v2", "/docs")


class Metrics:
    """Counters of one service.  They tell nothing of the machine, and of no image."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "striate_requests", "Requests by route and status", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "striate_request_seconds", "Seconds of a request", ["route"], registry=self.registry
        )
        self.batches = Histogram(
            "striate_batch_images",
            "Images answered together",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self.registry,
        )
        self.batch_seconds = Counter(
            "striate_batch_seconds", "Seconds of decoding and answering", registry=self.registry
        )
        self.rejected = Counter(
            "striate_rejected", "Answers that are: I don't know", ["reason"], registry=self.registry
        )
        self.bundles = Counter(
            "striate_bundles", "New bundles, taken and refused", ["result"], registry=self.registry
        )
        self.waiting = Gauge(
            "striate_waiting_images", "Images that wait for an answer", registry=self.registry
        )
        self._children: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def watch(self, waiting: Callable[[], float]) -> None:
        """Take the number of images that wait from a function."""
        self.waiting.set_function(waiting)

    def request(self, method: str, path: str, status: int, seconds: float) -> None:
        """One request is over."""
        route = next((each for each in ROUTES if path.startswith(each)), "other")
        route = "/infer" if route == "/v2" and path.endswith("/infer") else route
        key = route, status
        if key not in self._children:
            self._children[key] = self.requests.labels(route, str(status)), self.seconds.labels(route)
        counter, histogram = self._children[key]
        counter.inc()
        histogram.observe(seconds)

    def batch(self, images: int, seconds: float) -> None:
        """Some images were answered together."""
        self.batches.observe(images)
        self.batch_seconds.inc(seconds)

    def bundle(self, taken: bool) -> None:
        """A new bundle came."""
        self.bundles.labels("taken" if taken else "refused").inc()

    def text(self) -> bytes:
        """All of them."""
        return generate_latest(self.registry)
