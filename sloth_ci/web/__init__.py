"""The web: `/` for the API, one listen point an app; cherrypy is imported here and in `server.py`.

Each listen point is a plain WSGI callable grafted on CherryPy's tree: the tree finds it by its
path, and nothing else of the framework stands between a push and its verdict.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from cherrypy._cptree import Tree

from sloth_ci.api import Answer, Params, Server, begin, call, find_action, may_begin
from sloth_ci.app import App
from sloth_ci.bed import Bed
from sloth_ci.config import ServerConfig
from sloth_ci.errors import MethodRefused, SlothError
from sloth_ci.request import Reply, Request
from sloth_ci.store import Accepted, Pending
from sloth_ci.web.browser import Browser
from sloth_ci.web.head import Head
from sloth_ci.web.login import LoginCheck
from sloth_ci.web.origin import check_host, check_origin, own_hosts
from sloth_ci.web.pages import show_page
from sloth_ci.web.parameters import read_parameters
from sloth_ci.web.wsgi import (
    Environ,
    StartResponse,
    answer,
    json_reply,
    live_reply,
    read_body,
    read_head,
)

API_METHODS = ("GET", "POST")
#: Bytes of a body in which the name of an action is looked for.
MOST_SEARCHED = 2_000


class ApiEndpoint:
    """Answers the API's requests, and those for paths where nothing listens."""

    def __init__(
        self, config: ServerConfig, server: Server, hosts: tuple[str, ...], login: LoginCheck
    ) -> None:
        self._config = config
        self._hosts = hosts
        self._server = server
        self._login = login
        self._browser = Browser(server, login)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return answer(environ, start_response, self._respond)

    def _respond(self, environ: Environ) -> Reply:
        request = read_head(environ, self._config)
        check_host(request, self._hosts)
        if self._browser.serves(request):
            return self._browser.answer(request)
        if request.path not in ("", "/"):
            extensions = self._server.bed.extensions
            return show_page(extensions, request.path, request, self._login)
        actor = self._let_in(request)
        if request.method not in API_METHODS:
            raise MethodRefused(method=request.method, allowed=", ".join(API_METHODS))
        if request.method == "POST":
            body = read_body(environ, limit=self._config.max_request)
            request = replace(request, body=body)
        params = self._read(request)
        return _show(*call(self._server, params, actor=actor, header=request.header))

    def serves(self, head: Head, arrived: bytearray) -> bool:
        """Whether this may be a request that waits for nothing but the store."""
        if head.length > self._config.max_request:
            return False
        return may_begin(head.query, arrived[: min(head.length, MOST_SEARCHED)])

    def take(self, request: Request, body: bytes) -> Pending[Reply] | None:
        """Do what the request asks for; None where it takes longer than to ask the store.

        Raises SlothError.
        """
        check_host(request, self._hosts)
        if self._browser.serves(request):
            return None
        if self._config.open_health and self._is_open_to_all(request):
            return None
        actor = self._login.check_known(request)
        if actor is None:
            return None
        if request.method == "POST":
            request = replace(request, body=body)
        params = self._read(request)
        pending = begin(self._server, params, actor=actor or request.address, header=request.header)
        return None if pending is None else pending.then(lambda given: _show(*given))

    def _read(self, request: Request) -> Params:
        """What is asked for; raises what refuses it, also for coming from a page elsewhere."""
        params = read_parameters(request)
        action = find_action(params, self._server.further)
        if action.changes_state:
            check_origin(request, action.name)
        return params

    def _let_in(self, request: Request) -> str:
        """Who asks: a login, else an address. Raises what the check of the login raises."""
        if self._config.open_health and self._is_open_to_all(request):
            return request.address
        return self._login.check(request) or request.address

    def _is_open_to_all(self, request: Request) -> bool:
        """Whether it asks for nothing but an action open to all; its body is not looked at."""
        if request.method != "GET":
            return False
        try:
            return find_action(read_parameters(request), self._server.further).open_to_all
        except SlothError:
            return False


class AppEndpoint:
    """Answers the deliveries of one app."""

    __slots__ = ("_app", "_bed", "_config", "_hosts", "_login")

    def __init__(
        self,
        config: ServerConfig,
        bed: Bed,
        app: App,
        hosts: tuple[str, ...],
        login: LoginCheck,
    ) -> None:
        self._config = config
        self._hosts = hosts
        self._login = login
        self._bed = bed
        self._app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return answer(environ, start_response, self._respond)

    def _respond(self, environ: Environ) -> Reply:
        request = read_head(environ, self._config)
        check_host(request, self._hosts)
        path = environ.get("PATH_INFO", "")
        if path not in ("", "/"):
            return show_page(self._app.extensions, path, request, self._login)
        limit = self._config.max_delivery
        return self._deliver(request, lambda: read_body(environ, limit=limit)).result()

    def serves(self, head: Head, _arrived: bytearray) -> bool:
        """Whether a delivery waits for nothing but the store."""
        return self._app.is_prompt and head.length <= self._config.max_delivery

    def take(self, request: Request, body: bytes) -> Pending[Reply]:
        """Judge a delivery, and have its builds queued.

        Raises SlothError.
        """
        check_host(request, self._hosts)
        return self._deliver(request, lambda: body)

    def _deliver(self, request: Request, read: Callable[[], bytes]) -> Pending[Reply]:
        self._bed.check_taking()
        try:
            # No provider is a browser; without this, any page could push to an app on this machine
            # that takes unsigned deliveries.
            check_origin(request, "deliver")
            body = read()
        except SlothError as error:
            self._app.refuse(request, error)
            raise
        return self._app.receiving(replace(request, body=body)).then(_tell)


class Site:
    """CherryPy's tree with an endpoint for the API and one for each app.

    `bound_to` is the address that the server listens on.
    """

    def __init__(self, config: ServerConfig, tree: Tree, *, bound_to: str) -> None:
        self._config = config
        self._tree = tree
        self._hosts = own_hosts(config.hosts, bound_to=bound_to)
        self._login = LoginCheck(config.api_auth)

    def open(self, server: Server) -> None:
        """Mount the API."""
        self._tree.graft(ApiEndpoint(self._config, server, self._hosts, self._login), "")

    def mount(self, bed: Bed, app: App) -> None:
        """Mount an app, or the one that takes its place."""
        endpoint = AppEndpoint(self._config, bed, app, self._hosts, self._login)
        self._tree.graft(endpoint, f"/{app.listen_point}")

    def find_desk(self, path: str) -> ApiEndpoint | AppEndpoint | None:
        """The endpoint at exactly this path."""
        found: ApiEndpoint | AppEndpoint | None = self._tree.apps.get(path.removesuffix("/"))
        return found

    def unmount(self, app: App) -> None:
        """Take an app off."""
        self._tree.apps.pop(f"/{app.listen_point}", None)


def _show(status: int, given: Answer) -> Reply:
    if given.empty:
        return Reply(status, b"", given.headers)
    if given.stream is not None:
        return live_reply(status, given.stream, given.headers)
    return json_reply(status, given.value, given.headers)


def _tell(accepted: Accepted) -> Reply:
    value: dict[str, object] = {"builds": list(accepted.builds)}
    if not accepted.builds:
        value["reason"] = accepted.reason
    queued = accepted.builds and not accepted.repeated
    return json_reply(202 if queued else 200, value)
