"""Prometheus metrics of the service, in a registry per application so that two in one process do not mix."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.routing import Match, Route
from starlette.types import Scope

UNKNOWN_ROUTE = "other"


class Metrics:
    """Requests, answers, snapshot swaps, versions that are not served."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "forecast_requests", "Requests by route and status", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "forecast_request_seconds",
            "Time from the first byte of a request to the end of its answer",
            ["route"],
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 10),
            registry=self.registry,
        )
        self.in_flight = Gauge("forecast_requests_in_flight", "Requests being answered", registry=self.registry)
        self.swaps = Counter("forecast_snapshot_swaps", "Snapshots that began to be served", registry=self.registry)
        self.refused = Gauge(
            "forecast_refused_versions", "Current versions that are not served", registry=self.registry
        )
        self.failures = Counter("forecast_watch_failures", "Checks of the store that failed", registry=self.registry)
        self.runs = Gauge("forecast_model_runs", "Runs of the model since the start", registry=self.registry)
        self.computed = Gauge("forecast_model_decisions", "Forecasts computed since the start", registry=self.registry)

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one answered request."""
        route = route_label(scope)
        self.requests.labels(route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return the metrics in Prometheus' exposition format."""
        return generate_latest(self.registry)


def route_label(scope: Scope) -> str:
    """Return the path of the app's route for a request; "other" where none matches, or clients could create labels."""
    routes = (route for route in scope["app"].routes if isinstance(route, Route))
    return next((route.path for route in routes if route.matches(scope)[0] is not Match.NONE), UNKNOWN_ROUTE)
