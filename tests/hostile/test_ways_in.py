"""No method, path or spelling leads past the login."""

import pytest

from sloth_ci.api import ACTIONS
from tests.calls import Api
from tests.conftest import LOGIN, RunningServer
from tests.hostile.clients import tell

METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get", "FOO")
PATHS = ("/", "//", "/;x", "/%2e/", "/%2E%2E/", "/./", "/%2f", "/?x=1", "/-/", "/index.html")
SPELLINGS = ("action={0}", "action={0}&action=version", "action=version&action={0}", "ACTION={0}")


def ways(method: str) -> list[bytes]:
    found = []
    for action in [*ACTIONS, *map(str.upper, ACTIONS)]:
        for spelling in SPELLINGS:
            query = spelling.format(action) + "&listen_point=guarded&config_string=listen_point:+x"
            for path in PATHS:
                joint = "&" if "?" in path else "?"
                found.append(f"{method} {path}{joint}{query}".encode())
    return found


@pytest.mark.parametrize("method", METHODS)
def test_without_a_login_nothing_but_401_and_404(shared_server: RunningServer, method: str) -> None:
    api = Api(shared_server.url, LOGIN)
    listen_point = f"guarded-{method}"
    api.create(f"listen_point: {listen_point}\nactions: [echo in]")
    names = api("list").value
    asked = [way.replace(b"=guarded", f"={listen_point}".encode()) for way in ways(method)]
    ends = b" HTTP/1.1\r\nHost: localhost\r\n"
    # Many requests on a connection: a hundred answers each.
    for at in range(0, len(asked), 100):
        some = asked[at : at + 100]
        message = b"".join(one + ends + b"\r\n" for one in some[:-1])
        statuses = answers_to(
            shared_server, message + some[-1] + ends + b"Connection: close\r\n\r\n"
        )
        assert len(statuses) == len(some)
        for one, status in zip(some, statuses, strict=True):
            at_home = one.split(b" ")[1].split(b"?")[0] in (b"/", b"//")
            assert status == (401 if at_home else 404), one
    assert api("list").value == names
    assert api("history", listen_point=listen_point).value == []


def answers_to(server: RunningServer, message: bytes) -> list[int]:
    return [int(part[:3]) for part in tell(server.url, message).split(b"HTTP/1.1 ")[1:]]


def test_with_a_login_other_methods_are_refused(shared_server: RunningServer) -> None:
    login = b"Authorization: Basic c2xvdGg6c2xvdy1idXQtc3RlYWR5\r\n"
    for method in set(METHODS) - {"GET", "POST"}:
        answer = tell(
            shared_server.url,
            f"{method} /?action=list HTTP/1.1\r\nHost: localhost\r\n".encode()
            + login
            + b"Connection: close\r\n\r\n",
        )
        assert answer.startswith(b"HTTP/1.1 405 "), method
        assert b"\r\nAllow: GET, POST\r\n" in answer
