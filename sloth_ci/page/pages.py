"""Which view answers which path, and how its answer becomes HTML."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from time import time
from typing import Any
from urllib.parse import parse_qsl, quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sloth_ci.errors import PathNotFound, SlothError
from sloth_ci.page import ansi, charts, views, words
from sloth_ci.page.views import Call, View
from sloth_ci.request import Reply, Request

PREFIX = "/-/"
#: Nothing from elsewhere, nothing inline, nobody's frame.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
RAW = {"Content-Type": "text/plain; charset=utf-8", "Content-Security-Policy": "sandbox"}
_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class _Route:
    """A view, and the template that shows what it gives."""

    template: str
    view: View


#: By the first segment behind `/-/`; what follows it, if anything may, is the view's `name`.
_ROUTES: Mapping[str, _Route] = {
    "": _Route("apps.html", views.apps),
    "apps/": _Route("app.html", views.app),
    "builds": _Route("builds.html", views.builds),
    "builds/": _Route("build.html", views.build),
    "deliveries/": _Route("deliveries.html", views.deliveries),
    "delivery/": _Route("delivery.html", views.delivery),
}
#: The first segments of all that is the page's.
_HEADS = frozenset({name.rstrip("/") for name in _ROUTES} | {"static", "log"})


def wants_page(request: Request) -> bool:
    """Whether a browser asks for something of the page, and no script for an answer of the API."""
    if request.path.startswith(f"{PREFIX}static/"):
        return True
    if request.method not in ("GET", "HEAD") or "text/html" not in request.header("accept"):
        return False
    return "action" not in dict(parse_qsl(request.query, keep_blank_values=True))


class Pages:
    """Answers the requests of browsers."""

    def __init__(self, *, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self._templates = _make_templates()

    def owns(self, path: str) -> bool:
        """Whether something of the page is at that path."""
        head = path.removeprefix(PREFIX).partition("/")[0]
        return path in ("", "/") or (path.startswith(PREFIX) and head in _HEADS)

    def answer(self, request: Request, call: Call) -> Reply:
        """The page at the request's path, of what `call` gets from the API.

        Raises PathNotFound, or what the API raises.
        """
        head, _slash, rest = request.path.removeprefix(PREFIX).strip("/").partition("/")
        if head == "static":
            return _read_static(rest, request)
        if head == "log":
            return Reply(200, views.raw_log(call, rest).encode(), RAW)
        route = _ROUTES.get(f"{head}/" if rest else head)
        if route is None:
            raise PathNotFound(path=request.path)
        query = dict(parse_qsl(request.query))
        shown = route.view(call, rest, query)
        return self._render(200, route.template, {**shown, "path": request.path, "query": query})

    def answer_error(self, error: SlothError, request: Request) -> Reply:
        """An error as a page."""
        shown = {"error": error, "path": request.path, "query": {}}
        reply = self._render(error.status, "error.html", shown)
        return Reply(reply.status, reply.body, {**reply.headers, **error.headers})

    def _render(self, status: int, template: str, shown: Mapping[str, Any]) -> Reply:
        text = self._templates.get_template(template).render(now=self._clock(), **shown)
        return Reply(status, text.encode("utf-8", "backslashreplace"), HEADERS)


def _make_templates() -> Environment:
    made = Environment(
        loader=PackageLoader("sloth_ci.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "span": words.span,
        "rough": words.rough,
        "size": words.size,
        "moment": words.moment,
        "stamp": words.stamp,
        "status": words.status,
        "short": words.short,
        "percent": words.percent,
        "ago": words.ago,
        "clock": words.clock,
        "ansi": _paint,
        "plain": ansi.plain,
        "part": lambda text: quote(text, safe=""),
        "points": lambda text: quote(text, safe="/"),
    }
    made.globals |= {"sparkline": charts.sparkline, "static": _static_url}
    return made


def _paint(line: str) -> Markup:
    """The line with its colours as spans; all text escaped."""
    # The classes are ours; a page may have very many pieces, for which Markup's own join is slow.
    pieces = (
        f'<span class="{classes}">{escape(text)}</span>' if classes else escape(text)
        for classes, text in ansi.spans(line)
    )
    return Markup("".join(pieces))  # noqa: S704


def _static_url(name: str) -> str:
    """Where a file is; changes with its content, so that browsers may keep it for ever."""
    return f"{PREFIX}static/{name}?{_read_file(name)[1]}"


@cache
def _read_file(name: str) -> tuple[bytes, str]:
    content = (files("sloth_ci.page") / "static" / name).read_bytes()
    return content, hashlib.sha256(content).hexdigest()[:12]


def _read_static(name: str, request: Request) -> Reply:
    kind = _TYPES.get(name.rpartition(".")[2])
    if kind is None or "/" in name or name not in _static_names():
        raise PathNotFound(path=request.path)
    content, digest = _read_file(name)
    lasting = "public, max-age=31536000, immutable" if request.query == digest else "no-cache"
    return Reply(200, content, {"Content-Type": kind, "Cache-Control": lasting})


@cache
def _static_names() -> frozenset[str]:
    return frozenset(file.name for file in (files("sloth_ci.page") / "static").iterdir())
