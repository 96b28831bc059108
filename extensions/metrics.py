"""`metrics` shows what the server does to [Prometheus](https://prometheus.io), at `/-/metrics`.

```yaml server
extensions:
  metrics:
    module: metrics
    page: metrics           # /-/metrics, as when not given
    open: true              # shown without login; false when not given
    by_app: false           # no label 'app', for very many apps; true when not given
```

With a login, Prometheus sends it as its `basic_auth` says.

| Name | Labels | Counts |
|---|---|---|
| `sloth_ci_builds_total` | `app`, `status` | builds that ended |
| `sloth_ci_build_duration_seconds` | `app` | how long builds ran (histogram) |
| `sloth_ci_build_wait_seconds` | `app` | how long they had waited (histogram) |
| `sloth_ci_actions_total` | `app`, `status` | actions that ended |
| `sloth_ci_action_duration_seconds` | `app` | how long actions ran (histogram) |
| `sloth_ci_deliveries_total` | `app`, `verdict` | deliveries of providers |
| `sloth_ci_queue_builds` | `state` | builds that are waiting, and running |
| `sloth_ci_queue_age_seconds` | | how long the oldest of the waiting ones has waited |
| `sloth_ci_store_bytes` | `part` | size of the database's file and of its log |
| `sloth_ci_store_builds`, `sloth_ci_store_records` | | what the database holds, at most |
| `sloth_ci_apps` | | apps |
| `sloth_ci_info` | `version` | 1 |

Counters begin at 0 when the server starts.
"""

from collections.abc import Callable, Iterable, Sequence
from time import time

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from sloth_ci import __version__
from sloth_ci.config import Flag, PageName, Section
from sloth_ci.extension import Context, Extension, hook
from sloth_ci.hooks import ActionEvent, BuildEvent, DeliveryEvent, Page
from sloth_ci.request import Reply, Request

#: Upper ends of the buckets of histograms, in seconds.
_DURATIONS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400)
_WAITS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1_800, 3_600)


class MetricsOptions(Section):
    """Where they are shown, and to whom."""

    page: PageName = "metrics"
    open: Flag = False
    by_app: Flag = True


class Metrics(Extension):
    """Counts what happens, and looks at the queue and the store when it is asked."""

    Options = MetricsOptions
    options: MetricsOptions
    for_apps, for_server = False, True

    def __init__(
        self, options: MetricsOptions, context: Context, *, clock: Callable[[], float] = time
    ) -> None:
        super().__init__(options, context)
        self._registry = registry = CollectorRegistry(auto_describe=False)
        registry.register(_State(context, clock))
        app = ["app"] if options.by_app else []
        self._builds = Counter(
            "sloth_ci_builds", "Builds that ended.", [*app, "status"], registry=registry
        )
        self._durations = Histogram(
            "sloth_ci_build_duration_seconds",
            "How long builds ran.",
            app,
            buckets=_DURATIONS,
            registry=registry,
        )
        self._waits = Histogram(
            "sloth_ci_build_wait_seconds",
            "How long builds waited until they ran.",
            app,
            buckets=_WAITS,
            registry=registry,
        )
        self._actions = Counter(
            "sloth_ci_actions", "Actions that ended.", [*app, "status"], registry=registry
        )
        self._action_durations = Histogram(
            "sloth_ci_action_duration_seconds",
            "How long actions ran.",
            app,
            buckets=_DURATIONS,
            registry=registry,
        )
        self._deliveries = Counter(
            "sloth_ci_deliveries", "Deliveries of providers.", [*app, "verdict"], registry=registry
        )

    @hook
    def pages(self) -> Sequence[Page]:
        """All metrics in the text format of Prometheus, or of OpenMetrics."""
        about = "metrics for Prometheus"
        return [Page(self.options.page, about, self._answer, open=self.options.open)]

    @hook
    def build_finished(self, build: BuildEvent) -> None:
        """Count it."""
        self._builds.labels(*self._app(build.listen_point), build.status).inc()
        if build.started is None:
            return
        waits, durations = self._waits, self._durations
        if self.options.by_app:
            waits = waits.labels(build.listen_point)
            durations = durations.labels(build.listen_point)
        waits.observe(max(0.0, build.started - build.queued))
        if build.finished is not None:
            durations.observe(max(0.0, build.finished - build.started))

    @hook
    def action_finished(self, action: ActionEvent) -> None:
        """Count it."""
        self._actions.labels(*self._app(action.listen_point), action.outcome.status).inc()
        durations = self._action_durations
        if self.options.by_app:
            durations = durations.labels(action.listen_point)
        durations.observe(action.seconds)

    @hook
    def delivery_received(self, delivery: DeliveryEvent) -> None:
        """Count it."""
        self._deliveries.labels(*self._app(delivery.listen_point), delivery.verdict).inc()

    def _app(self, listen_point: str) -> list[str]:
        return [listen_point] if self.options.by_app else []

    def _answer(self, request: Request) -> Reply:
        try:
            encode, content_type = choose_encoder(request.header("accept"))
        except (TypeError, ValueError):  # a version that is none
            encode, content_type = choose_encoder("")
        return Reply(200, encode(self._registry), {"Content-Type": content_type})


class _State(Collector):
    """What is looked at whenever somebody asks."""

    def __init__(self, context: Context, clock: Callable[[], float]) -> None:
        self._context = context
        self._clock = clock

    def collect(self) -> Iterable[Metric]:
        """The queue, the store, the apps."""
        queue = self._context.store.queue()
        sizes = self._context.store.sizes()
        states = {"waiting": queue.waiting, "running": queue.running}
        yield _gauge("queue_builds", "Builds by state.", "state", **states)
        age = 0.0 if queue.oldest is None else max(0.0, self._clock() - queue.oldest)
        yield _gauge("queue_age_seconds", "How long the oldest of them has waited.", value=age)
        yield _gauge(
            "store_bytes", "Size of the database.", "part", database=sizes.database, log=sizes.wal
        )
        yield _gauge("store_builds", "Builds in the database, at most.", value=sizes.builds)
        yield _gauge("store_records", "Log records in the database, at most.", value=sizes.records)
        yield _gauge("apps", "Apps.", value=len(self._context.apps()))
        yield _gauge("info", "What runs here.", "version", **{__version__: 1})


def _gauge(name: str, about: str, label: str = "", **values: float) -> GaugeMetricFamily:
    """A gauge with one value, or with one for each value of its label."""
    gauge = GaugeMetricFamily(f"sloth_ci_{name}", about, labels=[label] if label else [])
    for said, value in values.items():
        gauge.add_metric([said] if label else [], value)
    return gauge


EXTENSION = Metrics
