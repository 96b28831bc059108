"""T16: the same delivery again builds nothing again, however many come at once."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from tests.calls import Api, Reply, send
from tests.conftest import LOGIN, RunningServer
from tests.validators.deliveries import SECRET, load, sign

TIMES = 100
AT_ONCE = 25


@pytest.fixture
def replies(shared_server: RunningServer) -> list[Reply]:
    """What a hundred copies of one delivery were answered."""
    api = Api(shared_server.url, LOGIN)
    api.create(f"listen_point: t16\nactions: []\nprovider: {{github: {{secret: '{SECRET}'}}}}")
    sample = load("github", "push-two-commits")
    headers = {**sample.headers, **sign("github", sample.body), "X-GitHub-Delivery": "the-one"}
    start = Barrier(AT_ONCE)

    def deliver() -> list[Reply]:
        start.wait()
        return [
            send(shared_server.url, method="POST", path="/t16", headers=headers, body=sample.body)
            for _ in range(TIMES // AT_ONCE)
        ]

    with ThreadPoolExecutor(AT_ONCE) as threads:
        clients = [threads.submit(deliver) for _ in range(AT_ONCE)]
        return [reply for client in clients for reply in client.result()]


def test_a_hundred_copies_of_a_delivery_are_one_build_and_a_hundred_good_answers(
    replies: list[Reply], shared_server: RunningServer
) -> None:
    assert sorted(reply.status for reply in replies) == [200] * (TIMES - 1) + [202]
    [builds] = {tuple(reply.value["builds"]) for reply in replies}
    [build] = builds
    api = Api(shared_server.url, LOGIN)
    api.wait_for_build("t16", build)
    assert len(api.history("t16")) == 2
