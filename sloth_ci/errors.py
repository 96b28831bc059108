"""Every error of Sloth CI: its code is its class's name, its message its docstring.

SlothError                      500
├── BadRequest                  400
│   ├── MissingAction  MissingParam  RepeatedParam  UnknownParam  BadParam
│   ├── BadBody                 the body is not what its content type says
│   ├── BadPayload              not the provider's format
│   └── NoProvider              a delivery for an app that is triggered by hand only
├── LoginRequired               401
├── Refused                     403
│   ├── SignatureRefused  AddressRefused  CrossSiteRefused  HostRefused
├── NotFound                    404
│   ├── ActionNotFound  AppNotFound  BuildNotFound  DeliveryNotFound  PathNotFound
│   ├── ConfigFileNotFound
├── MethodRefused               405
├── RequestTimeout              408
├── ListenPointTaken            409
├── DeliveryNotReplayable       409
├── BodyTooLarge                413
├── EncodingRefused             415
├── TooManyTries                429
├── HeadTooLarge                431
├── ConfigError                 500
│   ├── ConfigUnreadable  ConfigInvalid  ConfigMismatch
├── DatabaseOff                 501
├── Unavailable                 503
│   ├── Stopping  QueueFull  DatabaseUnavailable  Unhealthy
├── StartRefused                what keeps a server from starting; never an answer
│   ├── PortTaken  DatabaseRefused
└── ServerUnreachable  UnexpectedAnswer     on the client's side only
"""

import re
from typing import Any, ClassVar


class SlothError(Exception):
    """Something unexpected happened in the server. Its error log has the details."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "server_error"
    #: What the answer needs beside its body, such as `Allow`.
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, **details: Any) -> None:
        self.details = details
        super().__init__((type(self).__doc__ or "").format_map(_Details(details)))

    def __init_subclass__(cls) -> None:
        cls.code = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    @property
    def message(self) -> str:
        """The sentence for the person who asked."""
        return str(self)


class BadRequest(SlothError):
    """The request can't be understood: {reason}"""

    status = 400


class MissingAction(BadRequest):
    """The 'action' parameter is missing. Actions: {actions}."""


class MissingParam(BadRequest):
    """The '{param}' parameter is missing; the action '{action}' needs it."""


class RepeatedParam(BadRequest):
    """The '{param}' parameter came {times} times; the action '{action}' takes it once."""


class UnknownParam(BadRequest):
    """The action '{action}' has no parameter '{param}'.{hint}"""


class BadParam(BadRequest):
    """The '{param}' parameter must be {wanted}, not '{came}'."""


class BadBody(BadRequest):
    """The request's body must be {wanted}: {reason}."""


class BadPayload(BadRequest):
    """The payload is not what {provider} sends: '{field}' must be {wanted}, not {came}."""


class NoProvider(BadRequest):
    """The app '{listen_point}' has no provider, so it takes no pushes; trigger it by the API."""


class LoginRequired(SlothError):
    """The API needs a login: send the user name and password by HTTP basic auth."""

    status = 401
    headers: ClassVar[dict[str, str]] = {
        "WWW-Authenticate": 'Basic realm="Sloth CI", charset="UTF-8"'
    }


class Refused(SlothError):
    """The request is refused: {reason}"""

    status = 403


class SignatureRefused(Refused):
    """The delivery is refused: {reason}."""


class AddressRefused(Refused):
    """The delivery is refused: its sender {address} is not among the app's trusted_ips."""


class CrossSiteRefused(Refused):
    """A page of another site ({site}) may not ask for '{action}'. Open the server's own address."""


class HostRefused(Refused):
    """The host name '{host}' is not one of this server's; its config lists them in 'hosts'."""


class NotFound(SlothError):
    """Nothing is here."""

    status = 404


class ActionNotFound(NotFound):
    """There is no action '{action}'.{hint}"""


class AppNotFound(NotFound):
    """No app listens on '{listen_point}'.{hint}"""


class BuildNotFound(NotFound):
    """There is no build {id}; it may have been forgotten by now."""


class DeliveryNotFound(NotFound):
    """There is no delivery {id}; it may have been forgotten by now."""


class PathNotFound(NotFound):
    """Nothing listens on '{path}'."""


class ConfigFileNotFound(NotFound):
    """There is no config file '{config_file}' on the server."""


class MethodRefused(SlothError):
    """The method {method} is not answered here; use {allowed}."""

    status = 405

    def __init__(self, *, method: str, allowed: str) -> None:
        super().__init__(method=method, allowed=allowed)
        self.headers = {"Allow": allowed}  # type: ignore[misc]


class RequestTimeout(SlothError):
    """The request did not arrive in time: it has 10 seconds, and one more for each 32 kB."""

    status = 408


class ListenPointTaken(SlothError):
    """The listen point '{listen_point}' is taken. Remove its app first, or choose another."""

    status = 409


class DeliveryNotReplayable(SlothError):
    """The delivery {id} can't be taken once more: {reason}."""

    status = 409


class BodyTooLarge(SlothError):
    """The body is too large: at most {limit} bytes are taken here."""

    status = 413


class EncodingRefused(SlothError):
    """A body in the encoding '{encoding}' is not taken; send it without a Content-Encoding."""

    status = 415


class TooManyTries(SlothError):
    """Too many wrong logins came from your address. Try again in {seconds} seconds."""

    status = 429

    def __init__(self, *, seconds: int) -> None:
        super().__init__(seconds=seconds)
        self.headers = {"Retry-After": str(seconds)}  # type: ignore[misc]


class HeadTooLarge(SlothError):
    """The request's first line and headers are too large: at most {size} bytes, and {headers} \
headers, are taken."""

    status = 431


class ConfigError(SlothError):
    """The config is refused: {reason}"""

    status = 500


class ConfigUnreadable(ConfigError):
    """{file}: {reason}"""


class ConfigInvalid(ConfigError):
    """{text}"""


class ConfigMismatch(ConfigError):
    """The config in '{config_file}' differs from the one the app '{listen_point}' runs with. \
Remove and create the app to change it."""


class DatabaseOff(SlothError):
    """'{action}' needs the database, which the server config switches off ('paths: db: null')."""

    status = 501


class Unavailable(SlothError):
    """The server can't take this now: {reason}. Try again in a moment."""

    status = 503
    headers: ClassVar[dict[str, str]] = {"Retry-After": "5"}


class Stopping(Unavailable):
    """The server is stopping and takes no new builds. Try again in a moment."""


class QueueFull(Unavailable):
    """The queue of '{listen_point}' is full ({limit} builds wait). Try again later."""


class DatabaseUnavailable(Unavailable):
    """The database can't be written now ({reason}); nothing was accepted. Try again in a moment."""


class Unhealthy(Unavailable):
    """The server is not well: {problems}."""


class StartRefused(SlothError):
    """The server can't start: {reason}"""


class PortTaken(StartRefused):
    """Can't listen on {host}:{port}: {reason}."""


class DatabaseRefused(StartRefused):
    """The database {path} can't be used: {reason}."""


class ServerUnreachable(SlothError):
    """No Sloth CI server answers at {url}: {reason}."""


class UnexpectedAnswer(SlothError):
    """What answers at {url} is no Sloth CI server: {reason}."""


class _Details(dict[str, Any]):
    """What is not told stays `{name}` in the message; it must not hide what went wrong."""

    def __missing__(self, name: str) -> str:
        return f"{{{name}}}"


def from_answer(code: str, message: str, details: dict[str, Any]) -> SlothError:
    """The error a server's answer tells of, as the class the server raised."""
    cls = _by_code().get(code, SlothError)
    error = cls.__new__(cls)
    Exception.__init__(error, message)
    error.details = details
    return error


def _by_code() -> dict[str, type[SlothError]]:
    found: dict[str, type[SlothError]] = {}
    waiting: list[type[SlothError]] = [SlothError]
    while waiting:
        cls = waiting.pop()
        found[cls.code] = cls
        waiting.extend(cls.__subclasses__())
    return found
