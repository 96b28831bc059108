"""What the endpoints do for the porter: everything they do otherwise, and they never wait."""

import base64
import hmac
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sloth_ci.api import Server
from sloth_ci.bed import Bed
from sloth_ci.builds import BuildStatus
from sloth_ci.config import parse_server
from sloth_ci.errors import AppNotFound, CrossSiteRefused, LoginRequired, TooManyTries
from sloth_ci.executors import ImmediateExecutor
from sloth_ci.hooks import Hooks
from sloth_ci.journal import Journal
from sloth_ci.request import Reply, Request
from sloth_ci.shell import ShellRunner
from sloth_ci.store import Store
from sloth_ci.web import ApiEndpoint, AppEndpoint
from sloth_ci.web.head import Head, read_head
from sloth_ci.web.login import LoginCheck
from sloth_ci.web.wsgi import make_request
from tests.api.conftest import Life

CONFIG = "api_auth: {login: eva, password: swordfish}\nmax_delivery: 100\nmax_request: 200"
TRIGGER = b"action=trigger&listen_point=web&branch=main"


class Place:
    """A server's endpoints, without the server."""

    def __init__(self, folder: Path) -> None:
        self.config = parse_server(CONFIG, base_dir=folder)
        self.store = Store(folder / "sloth.db")
        self.bed = Bed(
            store=self.store,
            journal=Journal(self.store),
            base_dir=folder,
            run_action=ShellRunner(),
            make_executor=ImmediateExecutor,
        )
        self.app = self.bed.create(
            "listen_point: web\nprovider: {dummy: {secret: s3cret}}\nactions: ['true']"
        )
        self.login = LoginCheck(self.config.api_auth)
        server = Server(bed=self.bed, store=self.store, life=Life())
        self.api = ApiEndpoint(self.config, server, ("127.0.0.1",), self.login)
        self.deliveries = AppEndpoint(self.config, self.bed, self.app, ("127.0.0.1",), self.login)

    def ask(self, body: bytes = TRIGGER, *, password: str = "swordfish", more: str = "") -> Request:
        head = make_head(body, password=password, more=more)
        return make_request(head, "192.0.2.1", self.config)

    def let_in(self) -> None:
        """Log in once, so that the login is remembered."""
        self.login.check(self.ask())


def make_head(body: bytes, *, query: str = "", password: str = "swordfish", more: str = "") -> Head:
    login = base64.b64encode(f"eva:{password}".encode()).decode()
    lines = [
        f"POST /{query} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Basic {login}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
        *more.splitlines(),
    ]
    return read_head("\r\n".join(lines).encode())


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.bed.close()
    place.store.close()


def settle(pending: object) -> Reply:
    assert pending is not None
    reply: Reply = pending.result()  # type: ignore[attr-defined]
    return reply


class TestApi:
    """The API's desk, which does triggers."""

    @pytest.mark.parametrize(
        ("query", "body", "serves"),
        [
            ("", TRIGGER, True),
            ("?action=trigger&listen_point=web", b"", True),
            ("?listen_point=web", b"action=trigger", True),
            ("", b"action=info", False),
            ("", b"x=" + b"y" * 200 + TRIGGER, False),
        ],
    )
    def test_it_serves_what_may_be_a_trigger(
        self, place: Place, query: str, body: bytes, serves: bool
    ) -> None:
        head = make_head(body, query=query)
        assert place.api.serves(head, bytearray(body)) is serves

    def test_what_follows_on_the_connection_is_not_looked_at(self, place: Place) -> None:
        body = b"action=info"
        assert not place.api.serves(make_head(body), bytearray(body + TRIGGER))

    def test_a_trigger_is_answered_as_ever(self, place: Place) -> None:
        place.let_in()
        reply = settle(place.api.take(place.ask(), TRIGGER))
        assert (reply.status, reply.body, reply.headers["X-Build-Id"]) == (202, b"", "1")
        build = place.store.find_build(1)
        assert build is not None
        assert (build.actor, build.params) == ("eva", {"branch": "main"})
        assert build.status is BuildStatus.COMPLETE

    def test_a_login_that_is_not_remembered_is_left_to_others(self, place: Place) -> None:
        assert place.api.take(place.ask(), TRIGGER) is None

    def test_a_wrong_login_is_refused(self, place: Place) -> None:
        wrong = place.ask(password="wrong")
        assert place.api.take(wrong, TRIGGER) is None
        with pytest.raises(LoginRequired):
            place.login.check(wrong)
        with pytest.raises(LoginRequired):
            place.api.take(wrong, TRIGGER)

    def test_who_guesses_too_often_is_refused_with_a_right_login_too(self, place: Place) -> None:
        place.let_in()
        for number in range(10):
            with pytest.raises(LoginRequired):
                place.login.check(place.ask(password=f"wrong{number}"))
        with pytest.raises(TooManyTries):
            place.api.take(place.ask(), TRIGGER)

    def test_a_page_of_another_site_is_refused(self, place: Place) -> None:
        place.let_in()
        with pytest.raises(CrossSiteRefused):
            place.api.take(place.ask(more="Sec-Fetch-Site: cross-site"), TRIGGER)

    def test_what_is_open_to_all_is_left_to_others(self, place: Place) -> None:
        config = parse_server(f"{CONFIG}\nopen_health: true", base_dir=Path())
        server = Server(bed=place.bed, store=place.store, life=Life())
        api = ApiEndpoint(config, server, (), place.login)
        head = read_head(b"GET /?action=health&x=trigger HTTP/1.1\r\nHost: a")
        assert api.serves(head, bytearray())
        assert api.take(make_request(head, "192.0.2.1", config), b"") is None

    def test_an_unknown_app_is_refused(self, place: Place) -> None:
        place.let_in()
        with pytest.raises(AppNotFound):
            place.api.take(place.ask(), TRIGGER.replace(b"web", b"wed"))

    @pytest.mark.parametrize(
        "body", [b"action=info&listen_point=trigger", b"action=help&name=trigger"]
    )
    def test_another_action_is_left_to_others(self, place: Place, body: bytes) -> None:
        place.let_in()
        assert place.api.take(place.ask(body), body) is None

    def test_an_app_with_extensions_is_left_to_others(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place.let_in()
        monkeypatch.setattr(Hooks, "__bool__", lambda _hooks: True)
        assert place.api.take(place.ask(), TRIGGER) is None
        assert place.store.find_build(1) is None


class TestDeliveries:
    """An app's desk."""

    PUSH = json.dumps({"branch": "main"}).encode()
    SIGNED = f"X-Sloth-Signature: sha256={hmac.digest(b's3cret', PUSH, 'sha256').hex()}"

    def test_a_delivery_is_answered_as_ever(self, place: Place) -> None:
        reply = settle(place.deliveries.take(place.ask(self.PUSH, more=self.SIGNED), self.PUSH))
        assert (reply.status, json.loads(reply.body)) == (202, {"builds": [1]})

    def test_one_that_is_too_large_is_left_to_others(self, place: Place) -> None:
        assert place.deliveries.serves(make_head(b"x" * 100), bytearray())
        assert not place.deliveries.serves(make_head(b"x" * 101), bytearray())

    def test_an_app_with_extensions_is_left_to_others(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Hooks, "__bool__", lambda _hooks: True)
        assert not place.deliveries.serves(make_head(b""), bytearray())

    def test_a_validator_from_elsewhere_is_left_to_others(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert place.app.is_prompt
        monkeypatch.setattr(type(place.app._validator), "__module__", "elsewhere.sloth_ci")
        assert not place.app.is_prompt

    def test_where_anybody_may_send_it_is_left_to_others(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(type(place.app._validator), "secrets", ())
        assert not place.app.is_prompt

    def test_a_refusal_is_kept_for_the_ledger(self, place: Place) -> None:
        with pytest.raises(CrossSiteRefused):
            place.deliveries.take(
                place.ask(self.PUSH, more="Sec-Fetch-Site: cross-site"), self.PUSH
            )
        place.store.flush()
        assert [one.code for one in place.store.deliveries(most=5)] == ["cross_site_refused"]
