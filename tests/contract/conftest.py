"""The API under test, and the ways to send it a request."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

pytest.register_assert_rewrite("tests.contract.api", "tests.contract.wire")

from tests.contract.api import Api, Way  # noqa: E402  its asserts are to be rewritten first


@pytest.fixture(scope="session")
def foreign(request: pytest.FixtureRequest) -> bool:
    """Whether the server under test is not ours to stop or to look into."""
    return bool(request.config.getoption("--server-url"))


@pytest.fixture(scope="session")
def api(request: pytest.FixtureRequest, foreign: bool) -> Api:
    """The API of the server under test; choose unique listen points."""
    if foreign:
        option = request.config.getoption
        return Api(option("--server-url").rstrip("/"), (option("--login"), option("--password")))
    server = request.getfixturevalue("shared_server")
    return Api(server.url, server.login)


@pytest.fixture(params=list(Way), ids=lambda way: way.value)
def way(request: pytest.FixtureRequest) -> Way:
    """How the request is sent: the test is run once for each way."""
    way: Way = request.param
    return way


@pytest.fixture
def listen_point() -> str:
    """A listen point that no other test knows."""
    return f"contract-{uuid4().hex}"


@pytest.fixture
def make_app(api: Api, listen_point: str) -> Callable[..., str]:
    """Create an app of these lines of YAML, and get its listen point."""

    def make(config: str = "", *, listen_point: str = listen_point) -> str:
        reply = api.create(listen_point, config)
        assert reply.status == 201, reply.text
        return listen_point

    return make


@pytest.fixture
def folder(api: Api, tmp_path: Path) -> Path:
    """A folder that the server and the test both see."""
    if not api.is_near:
        pytest.skip("the server under test does not share this machine's files")
    return tmp_path


@pytest.fixture
def launch_own(foreign: bool, request: pytest.FixtureRequest) -> Callable[..., Api]:
    """Start a server for this test alone, and get its API; skipped for a foreign server."""
    if foreign:
        pytest.skip("needs a server of its own, to stop it, restart it or configure it")
    launch = request.getfixturevalue("launch")

    def start(**options: object) -> Api:
        server = launch(**options)
        return Api(server.url, server.login, process=server)

    return start
