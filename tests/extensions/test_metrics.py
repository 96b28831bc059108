"""Metrics: what is counted, what is looked at, and how it is shown."""

from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sloth_ci_extensions.metrics import Metrics, MetricsOptions

from sloth_ci import __version__
from sloth_ci.bed import Bed
from sloth_ci.builds import BuildStatus, Outcome, OutcomeStatus
from sloth_ci.errors import ConfigInvalid
from sloth_ci.hooks import DeliveryEvent, DeliveryVerdict
from sloth_ci.request import Reply, Request
from sloth_ci.trial import Trial, action_event, build_event
from tests.calls import Api, send
from tests.conftest import RunningServer

#: A name and its labels.
Sample = tuple[str, frozenset[tuple[str, str]]]


def read(reply: Reply) -> dict[Sample, float]:
    families = text_string_to_metric_families(reply.body.decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(samples: dict[Sample, float], name: str, **labels: str) -> float | None:
    return samples.get((f"sloth_ci_{name}", frozenset(labels.items())))


def ask(metrics: Metrics, accept: str = "") -> Reply:
    (page,) = metrics.pages()
    return page.answer(Request("GET", "/-/metrics", "", {"accept": accept}, "192.0.2.1", b""))


def test_builds_are_counted_by_app_and_status() -> None:
    with Trial(listen_point="") as trial:
        metrics = Metrics(MetricsOptions(), trial.context)
        for status in (BuildStatus.COMPLETE, BuildStatus.COMPLETE, BuildStatus.TIMED_OUT):
            metrics.build_finished(build_event(status))
        samples = read(ask(metrics))
    assert value(samples, "builds_total", app="web", status="complete") == 2
    assert value(samples, "builds_total", app="web", status="timed_out") == 1


def test_durations_and_waits_are_in_histograms() -> None:
    with Trial(listen_point="") as trial:
        metrics = Metrics(MetricsOptions(), trial.context)
        metrics.build_finished(build_event())  # waited 1 s, ran 1.5 s
        samples = read(ask(metrics))
    assert value(samples, "build_duration_seconds_sum", app="web") == 1.5
    assert value(samples, "build_duration_seconds_bucket", app="web", le="1.0") == 0
    assert value(samples, "build_duration_seconds_bucket", app="web", le="2.5") == 1
    assert value(samples, "build_wait_seconds_sum", app="web") == 1.0
    assert value(samples, "build_wait_seconds_bucket", app="web", le="1.0") == 1


def test_actions_are_counted_and_timed() -> None:
    with Trial(listen_point="") as trial:
        metrics = Metrics(MetricsOptions(), trial.context)
        metrics.action_finished(action_event(Outcome(OutcomeStatus.COMPLETED)))
        metrics.action_finished(action_event(Outcome(OutcomeStatus.FAILED)))
        samples = read(ask(metrics))
    assert value(samples, "actions_total", app="web", status="completed") == 1
    assert value(samples, "actions_total", app="web", status="failed") == 1
    assert value(samples, "action_duration_seconds_sum", app="web") == 3.0


def test_deliveries_are_counted_by_their_verdicts() -> None:
    with Trial(listen_point="") as trial:
        metrics = Metrics(MetricsOptions(), trial.context)
        for verdict in DeliveryVerdict:
            event = DeliveryEvent(1, "web", "192.0.2.1", verdict, "", ())
            metrics.delivery_received(event)
        samples = read(ask(metrics))
    for verdict in ("accepted", "repeated", "ignored", "refused"):
        assert value(samples, "deliveries_total", app="web", verdict=verdict) == 1


def test_without_the_label_all_apps_are_counted_together() -> None:
    with Trial(listen_point="") as trial:
        metrics = Metrics(MetricsOptions(by_app="false"), trial.context)
        metrics.build_finished(build_event())
        metrics.action_finished(action_event(Outcome(OutcomeStatus.COMPLETED)))
        samples = read(ask(metrics))
    assert value(samples, "builds_total", status="complete") == 1
    assert value(samples, "actions_total", status="completed") == 1
    assert value(samples, "build_duration_seconds_count") == 1
    assert not any("app" in dict(labels) for _name, labels in samples)


def test_the_queue_and_the_store_are_looked_at(make_bed: Callable[..., Bed]) -> None:
    bed = make_bed("extensions: {metrics: {module: metrics}}")
    app = bed.create("listen_point: web\nactions: [x]")
    app.trigger({})
    bed.executor.stop(0)
    for _ in range(3):
        app.trigger({})
    bed._store.claim(app.id)
    page = bed.extensions.find_page("/-/metrics")
    assert page is not None
    samples = read(page.answer(Request("GET", "/-/metrics", "", {}, "192.0.2.1", b"")))
    assert value(samples, "builds_total", app="web", status="complete") == 1
    assert value(samples, "queue_builds", state="waiting") == 2
    assert value(samples, "queue_builds", state="running") == 1
    assert (value(samples, "queue_age_seconds") or 0) > 0
    assert (value(samples, "store_bytes", part="database") or 0) > 0
    assert value(samples, "store_builds") == 4
    assert (value(samples, "store_records") or 0) > 0
    assert value(samples, "apps") == 1
    assert value(samples, "info", version=__version__) == 1


def test_an_empty_queue_has_no_age() -> None:
    with Trial(listen_point="") as trial:
        samples = read(ask(Metrics(MetricsOptions(), trial.context)))
    assert value(samples, "queue_age_seconds") == 0
    assert value(samples, "queue_builds", state="waiting") == 0


def test_two_of_them_count_for_themselves() -> None:
    with Trial(listen_point="") as trial:
        first, second = (Metrics(MetricsOptions(), trial.context) for _ in range(2))
        first.build_finished(build_event())
        assert value(read(ask(second)), "builds_total", app="web", status="complete") is None


def test_whoever_prefers_it_gets_the_open_metrics_format() -> None:
    with Trial(listen_point="") as trial:
        metrics = Metrics(MetricsOptions(), trial.context)
        plain = ask(metrics)
        chosen = ask(metrics, "application/openmetrics-text; version=1.0.0")
    assert plain.headers["Content-Type"].startswith("text/plain")
    assert chosen.headers["Content-Type"].startswith("application/openmetrics-text")
    assert chosen.body.endswith(b"# EOF\n")


@pytest.mark.parametrize("version", ["zz", "", "9" * 5_000, "1.x.0"])
def test_a_version_that_is_none_gets_the_usual_format(version: str) -> None:
    with Trial(listen_point="") as trial:
        metrics = Metrics(MetricsOptions(), trial.context)
        reply = ask(metrics, f"application/openmetrics-text; version={version}")

    assert reply.status == 200


def test_in_a_running_server_they_want_its_login(launch: Callable[..., RunningServer]) -> None:
    server = launch(config="extensions: {m: {module: metrics}}")
    api = Api(server.url, server.login)
    api.create("listen_point: web\nactions: ['true', 'false']")
    api.wait_for_build("web", api.trigger("web"))
    assert send(server.url, path="/-/metrics").status == 401
    reply = send(server.url, path="/-/metrics", login=server.login)
    samples = read(Reply(reply.status, reply.body))
    assert value(samples, "actions_total", app="web", status="completed") == 1
    assert value(samples, "actions_total", app="web", status="failed") == 1
    assert b"# HELP sloth_ci_builds_total" in reply.body


def test_every_metric_is_in_the_manual(make_bed: Callable[..., Bed]) -> None:
    with Trial(listen_point="") as trial:
        metrics = Metrics(MetricsOptions(), trial.context)
        families = text_string_to_metric_families(ask(metrics).body.decode())
        names = {
            family.name + ("_total" if family.type == "counter" else "") for family in families
        }
    manual = __import__("sloth_ci_extensions.metrics", fromlist=["x"]).__doc__
    assert {name for name in names if f"`{name}`" not in manual} == set()


def test_an_app_can_not_have_them(bed: Bed) -> None:
    with pytest.raises(ConfigInvalid, match="the extension 'metrics' is one of the server"):
        bed.create("listen_point: web\nextensions: {m: {module: metrics}}")
