"""Deliveries for the tests of validators: recorded ones, signed ones, broken ones."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from sloth_ci.config import AppConfig, Section, parse_app
from sloth_ci.errors import SlothError
from sloth_ci.request import Request
from sloth_ci.validators import BUILT_IN, Validator, Verdict

SECRET = "not quite a secret: here in the tests"
FOLDER = Path(__file__).parent.parent / "payloads"
PROVIDERS = {
    "github": "github",
    "bitbucket-cloud": "bitbucket",
    "bitbucket-server": "bitbucket_server",
    "gitlab": "gitlab",
    "gitea": "gitea",
    "forgejo": "forgejo",
    "gogs": "gogs",
}
#: Where a provider puts its signature, and what stands before it.
SIGNATURES = {
    "github": ("X-Hub-Signature-256", "sha256="),
    "bitbucket": ("X-Hub-Signature", "sha256="),
    "bitbucket_server": ("X-Hub-Signature", "sha256="),
    "gitlab": ("X-Gitlab-Token", ""),
    "gitea": ("X-Gitea-Signature", ""),
    "forgejo": ("X-Forgejo-Signature", ""),
    "gogs": ("X-Gogs-Signature", ""),
    "dummy": ("X-Sloth-Signature", "sha256="),
}
PARAMS = {
    *("event", "delivery", "owner", "repo", "ref", "branch", "tag"),
    *("commit", "before", "author", "message", "url"),
}


@dataclass(frozen=True)
class Sample:
    """A recorded delivery."""

    provider: str
    name: str
    body: bytes
    headers: Mapping[str, str]
    secret: str | None = None

    @property
    def event(self) -> str:
        return next((v for k, v in self.headers.items() if "Event" in k), "")

    @property
    def data(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass(frozen=True)
class Broken:
    """A body that is no payload, and why, in words that read as a test's name."""

    why: str
    body: bytes = field(repr=False)


@cache
def load(folder: str, name: str) -> Sample:
    """The recorded delivery `name` of a provider's folder."""
    [body] = [f for f in (FOLDER / folder).glob(f"{name}.*") if "headers" not in f.name]
    about = json.loads((FOLDER / folder / f"{name}.headers.json").read_text())
    return Sample(
        provider=PROVIDERS.get(folder, "generic"),
        name=name,
        body=body.read_bytes(),
        headers=about["headers"],
        secret=about.get("secret"),
    )


def load_all() -> list[Sample]:
    """All recorded deliveries with a JSON body of the seven providers."""
    return [
        load(folder, file.name.removesuffix(".headers.json"))
        for folder in PROVIDERS
        for file in sorted((FOLDER / folder).glob("*.headers.json"))
        if not file.name.startswith("vector-")
    ]


def find_validator(name: str) -> type[Validator]:
    """The class of a built-in provider; raises LookupError for others."""
    if name not in BUILT_IN:
        raise LookupError(f"there is no provider '{name}'")
    return import_module(f"sloth_ci.validators.{name}").VALIDATOR


def find_options(name: str) -> type[Section]:
    """What `parse_app` asks for."""
    return find_validator(name).Options


def parse(text: str, *, base_dir: Path = Path()) -> AppConfig:
    """An app's config with the providers of this package."""
    return parse_app(text, base_dir=base_dir, find_options=find_options)


def make(provider: str, *, now: float | None = None, **options: Any) -> Validator:
    """A provider's validator, its options gone all the way from the text of a config.

    Unsigned deliveries are allowed unless the options say what is to be proved.
    """
    if not options.keys() & {"secret", "signing_token", "trusted_ips", "allow_unsigned"}:
        options["allow_unsigned"] = True
    text = json.dumps({"listen_point": "spam", "provider": {provider: options}})
    config = parse(text)
    assert config.provider
    validator = find_validator(provider)
    if now is None:
        return validator(config.provider.options)
    return validator(config.provider.options, now=lambda: now)


def request(
    body: bytes | str | dict[str, Any] = b"{}",
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "POST",
    address: str = "192.0.2.1",
) -> Request:
    """A request with that body; a dict is sent as JSON."""
    if isinstance(body, dict):
        body = json.dumps(body)
    return Request(
        method=method,
        path="/spam",
        query="",
        headers={name.lower(): value for name, value in (headers or {}).items()},
        address=address,
        body=body if isinstance(body, bytes) else body.encode(),
    )


def sign(provider: str, body: bytes, secret: str = SECRET) -> dict[str, str]:
    """The header by which the provider proves the body."""
    header, prefix = SIGNATURES[provider]
    if provider == "gitlab":
        return {header: secret}
    return {header: prefix + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def send(sample: Sample, data: dict[str, Any] | None = None, **options: Any) -> Verdict:
    """The verdict on a recorded delivery, or on other data with its headers."""
    body = sample.body if data is None else json.dumps(data).encode()
    return make(sample.provider, **options).validate(request(body, sample.headers))


def judge(validator: Validator, delivery: Request) -> Verdict | SlothError:
    """The verdict, or the error of our own that came instead; any other error fails the test."""
    try:
        return validator.validate(delivery)
    except SlothError as refused:
        return refused


def assert_sound(outcome: Verdict | SlothError, *, names: Set[str] = PARAMS) -> None:
    """Whatever came, this is what the rest of the house may rely on."""
    if isinstance(outcome, SlothError):
        assert 400 <= outcome.status < 500
        assert len(outcome.message.encode()) < 10_000
        return
    assert bool(outcome.params) != bool(outcome.reason)
    texts = [outcome.event, outcome.delivery_id or "", outcome.reason]
    for params in outcome.params:
        assert set(params) >= names
        texts += params.values()
        for name in {"ref", "branch", "tag", "commit"} & set(params):
            assert not params[name].startswith("-")
    for text in texts:
        assert type(text) is str
        assert "\0" not in text
        assert len(text.encode()) < 128_000


BROKEN = [
    Broken("nothing", b""),
    Broken("an array", b"[]"),
    Broken("an array of objects", b"[{}]"),
    Broken("null", b"null"),
    Broken("a number", b"7"),
    Broken("a text", b'"ref"'),
    Broken("no JSON at all", b"ref=main"),
    Broken("half an object", b'{"ref": "refs/heads/main"'),
    Broken("two objects", b"{}{}"),
    Broken("a closing bracket too many", b"{}}"),
    Broken("closing brackets only", b"]" * 1000),
    Broken("200,000 nested arrays", b"[" * 200_000),
    Broken("200,000 nested objects", b'{"a":' * 200_000),
    Broken("101 levels, closed", b'{"a":' * 101 + b"1" + b"}" * 101),
    Broken("nested arrays behind a text of quotes", rb'{"a": "\"\\", "b": ' + b"[" * 5_000),
    Broken("nested arrays behind a stray backslash", rb'{\"a": ' + b"[" * 5_000),
    Broken("NaN", b'{"a": NaN}'),
    Broken("Infinity", b'{"a": -Infinity}'),
    Broken("a key twice", b'{"ref": "refs/heads/main", "ref": "refs/heads/prod"}'),
    Broken("a key twice, deep inside", b'{"a": [{"b": {"c": 1, "c": 1}}]}'),
    Broken("invalid UTF-8", b'{"a": "\xff\xfe"}'),
    Broken("a lone surrogate in UTF-8", b'{"a": "\xed\xa0\x80"}'),
    Broken("a byte order mark", b"\xef\xbb\xbf{}"),
    Broken("UTF-16", "{}".encode("utf-16")),
    Broken("a control character in a text", b'{"a": "\x01"}'),
    Broken("NUL bytes", b"\0" * 100),
    Broken("an open text of a megabyte", b'{"a": "' + b"\\x" * 500_000),
]
