"""T31: pushes with each of their parts missing, over HTTP: none makes the server fail.

`tests/validators/test_samples.py` breaks every recorded delivery in more ways, without a server.
"""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from copy import deepcopy
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.calls import Api
from tests.conftest import LOGIN, RunningServer
from tests.hostile.test_command_injection import SAMPLES, new_headers
from tests.validators.deliveries import load

#: Parts deeper than this are read the same way as those above them.
DEPTH = 4


@pytest.mark.parametrize("provider", SAMPLES)
def test_a_push_without_any_one_of_its_keys_is_taken_or_refused(
    provider: str, shared_server: RunningServer
) -> None:
    sample = load(*SAMPLES[provider])
    point = f"t31/{provider}"
    options = f"{{{provider}: {{allow_unsigned: true}}}}"
    Api(shared_server.url, LOGIN).create(f"listen_point: {point}\nactions: []\nprovider: {options}")
    headers = new_headers(sample)
    parts = urlsplit(shared_server.url)
    statuses = []
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)) as line:
        for data in without_one_key(sample.data):
            line.request("POST", f"/{point}", body=json.dumps(data), headers=headers)
            reply = line.getresponse()
            answer = json.loads(reply.read())
            assert reply.status in (200, 202, 400), answer
            assert reply.status != 400 or answer["error"]["details"]["field"]
            statuses.append(reply.status)
    assert len(statuses) > 20
    assert {202, 400} <= set(statuses)


def without_one_key(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The data without each of its keys in turn."""
    for path in list_paths(data):
        broken: Any = deepcopy(data)
        owner = broken
        for step in path[:-1]:
            owner = owner[step]
        del owner[path[-1]]
        yield broken


def list_paths(data: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all keys that are not too deep; of lists, the first item's."""
    if len(at) == DEPTH:
        return
    if isinstance(data, list) and data:
        yield from list_paths(data[0], (*at, 0))
    if isinstance(data, dict):
        for key, value in data.items():
            yield (*at, key)
            yield from list_paths(value, (*at, key))
