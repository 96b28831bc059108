"""What browsers see: the page, with the API asked in the name of whoever looks at it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sloth_ci.api import Server, call
from sloth_ci.errors import MethodRefused, SlothError
from sloth_ci.page import Pages, wants_page
from sloth_ci.request import Reply, Request
from sloth_ci.web.login import LoginCheck

METHODS = ("GET", "HEAD")


class Browser:
    """Answers what people's browsers ask for; the same login as the API's lets them in."""

    def __init__(self, server: Server, login: LoginCheck) -> None:
        self._server = server
        self._login = login
        self._pages = Pages()

    def serves(self, request: Request) -> bool:
        """Whether the request is for something of the page."""
        return self._pages.owns(request.path) and wants_page(request)

    def answer(self, request: Request) -> Reply:
        """The page at the request's path, or an error as a page."""
        try:
            actor = self._login.check(request) or request.address
            if request.method not in METHODS:
                raise MethodRefused(method=request.method, allowed=", ".join(METHODS))
            return self._pages.answer(request, _Call(self._server, actor))
        except SlothError as error:
            return self._pages.answer_error(error, request)


class _Call:
    """Asks the API without the way over the wire."""

    def __init__(self, server: Server, actor: str) -> None:
        self._server = server
        self._actor = actor

    def __call__(self, action: str, **params: str | int | Sequence[str]) -> Any:
        named = [("action", action), *_list_params(params)]
        _status, answer = call(self._server, named, actor=self._actor)
        return answer.value


def _list_params(params: Mapping[str, str | int | Sequence[str]]) -> Iterator[tuple[str, str]]:
    for name, value in params.items():
        if isinstance(value, str | int):
            yield name, str(value)
        else:
            yield from ((name, one) for one in value)
