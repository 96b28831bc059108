"""Slow clients make nobody wait but themselves."""

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.calls import Api, send, wait_until
from tests.conftest import LOGIN, RunningServer
from tests.hostile.clients import Drip, DrippingClients

#: The server has 20 threads; cheroot would give one to each of these.
MANY = 60


@pytest.mark.parametrize("kind", Drip, ids=lambda kind: f"dripping {kind.name.lower()}")
def test_good_requests_are_answered_while_many_clients_drip(
    shared_server: RunningServer, kind: Drip
) -> None:
    api = Api(shared_server.url, LOGIN)
    with DrippingClients(shared_server.url, MANY, kind, interval=0.02) as clients:
        wait_until(lambda: kind is Drip.NOTHING or clients.drops > MANY)
        assert [api("version").status for _ in range(30)] == [200] * 30
        wait_until(lambda: kind is Drip.NOTHING or clients.drops > 3 * MANY)
        assert [api("list").status for _ in range(30)] == [200] * 30
        # Large bodies of strangers are not waited for: the server answers without them.
        if kind in (Drip.HEAD, Drip.BODY, Drip.NOTHING):
            assert clients.cuts == 0


def test_a_server_stops_although_clients_drip(launch: Callable[..., RunningServer]) -> None:
    server = launch()
    with ExitStack() as stack:
        for kind in Drip:
            stack.enter_context(DrippingClients(server.url, 10, kind, interval=0.05))
        assert send(server.url, path="/?action=version", login=LOGIN).status == 200
        server.process.terminate()
        assert server.wait() == 0


def test_one_address_cannot_have_all_connections(launch: Callable[..., RunningServer]) -> None:
    server = launch(config="max_connections_per_address: 5")
    api = Api(server.url, LOGIN)
    with DrippingClients(server.url, 5, Drip.HEAD):
        wait_until(lambda: send(server.url).status == 503)
        refused = send(server.url)
        assert refused.value["error"]["code"] == "unavailable"
        assert refused.headers["retry-after"]
        other = send(server.url, path="/?action=list", login=LOGIN, source="127.0.0.2")
        assert other.status == 200
    wait_until(lambda: api("version").status == 200)


def test_there_is_a_limit_for_all_connections_together(
    launch: Callable[..., RunningServer],
) -> None:
    server = launch(config="max_connections: 5")
    with DrippingClients(server.url, 5, Drip.HEAD):
        wait_until(lambda: send(server.url).status == 503)
        assert send(server.url, source="127.0.0.2").status == 503


def test_connections_of_trusted_proxies_count_only_in_all(
    launch: Callable[..., RunningServer],
) -> None:
    server = launch(config="max_connections_per_address: 5\ntrusted_proxies: 127.0.0.1")
    with DrippingClients(server.url, 20, Drip.HEAD, interval=0.02) as clients:
        wait_until(lambda: clients.drops > 40)
        assert Api(server.url, LOGIN)("version").status == 200
        assert clients.cuts == 0
