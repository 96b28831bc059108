"""T1: hostile values in deliveries, through real builds: none runs, and every byte arrives."""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from sloth_ci.errors import SlothError
from sloth_ci.validators import Verdict
from tests.calls import Api, Reply, send
from tests.conftest import LOGIN, RunningServer
from tests.template.hostile import POLYGLOTS, VALUES
from tests.template.test_hostile_values import FORMS, MARKER
from tests.validators.deliveries import SECRET, Sample, judge, load, make, request, sign

#: Longer ones are refused by every provider.
LONGEST = 8_000
TAKEN = tuple(value for value in VALUES if len(value) <= LONGEST)
#: A push of each provider.
SAMPLES = {
    "github": ("github", "push-two-commits"),
    "bitbucket": ("bitbucket-cloud", "push"),
    "bitbucket_server": ("bitbucket-server", "refs_changed-v10"),
    "gitlab": ("gitlab", "push"),
    "gitea": ("gitea", "push"),
    "forgejo": ("forgejo", "push"),
    "gogs": ("gogs", "push"),
}
#: Where people write what they like: keys of payloads.
FREE = {"message", "title", "name", "user_name", "display_name", "displayName", "full_name", "raw"}
FREE |= {"url", "html_url", "web_url", "href", "compare", "compare_url", "username", "login"}
PRINTED = ("message", "author", "url", "branch", "ref", "owner", "repo", "event", "delivery")


def app(listen_point: str, provider: dict[str, Any], script: str, work_dir: Path) -> str:
    """A config whose one action prints into the file `received`."""
    action = f"exec > received\n{script}"
    config = {
        "listen_point": listen_point,
        "provider": provider,
        "actions": [action],
        "work_dir": str(work_dir),
    }
    return json.dumps(config, ensure_ascii=False)


def build(server: RunningServer, listen_point: str, reply: Reply) -> str:
    """Wait for the one build of a delivery and give its status."""
    assert reply.status == 202, reply.body
    [number] = reply.value["builds"]
    return str(Api(server.url, LOGIN).wait_for_build(listen_point, number)["message"])


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_every_value_of_a_delivery_arrives_byte_for_byte_and_none_runs(
    form: str, shared_server: RunningServer, tmp_path: Path
) -> None:
    names = [f"x{number}" for number in range(len(TAKEN))]
    params = {name: ["values", str(number)] for number, name in enumerate(names)}
    options = {"allow_unsigned": True, "params": params | {"y": ["values", "0"]}}
    script = "\n".join(form.replace("{x}", f"{{{name}}}") for name in names)
    point = f"t1/{list(FORMS.values()).index(form)}"
    api = Api(shared_server.url, LOGIN)
    api.create(app(point, {"generic": options}, script, tmp_path))
    body = json.dumps({"values": TAKEN}).encode()
    reply = send(shared_server.url, method="POST", path=f"/{point}", body=body)
    build(shared_server, point, reply)
    received = (tmp_path / "received").read_bytes().split(b"\0")[:-1]
    assert received == [value.encode() for value in TAKEN]
    assert {path.name for path in tmp_path.iterdir()} == {"received"}


def test_the_corpus_that_providers_take_is_large() -> None:
    assert len(TAKEN) >= 200


@pytest.mark.parametrize("provider", SAMPLES)
def test_no_field_of_a_push_runs(
    provider: str, shared_server: RunningServer, tmp_path: Path
) -> None:
    sample = load(*SAMPLES[provider])
    script = "\n".join(f"printf '%s\\0' {{{name}}} \"{{{name}}}\" '{{{name}}}'" for name in PRINTED)
    point = f"t1/{provider}"
    config = app(point, {provider: {"secret": SECRET}}, script, tmp_path)
    Api(shared_server.url, LOGIN).create(config)
    validator = make(provider, secret=SECRET)
    built = 0
    for data in hostile_pushes(sample, provider):
        body = json.dumps(data).encode()
        headers = {**new_headers(sample), **sign(provider, body)}
        reply = send(shared_server.url, method="POST", path=f"/{point}", headers=headers, body=body)
        verdict = judge(validator, request(body, headers))
        if isinstance(verdict, SlothError):
            assert reply.status == verdict.status == 400
            continue
        assert build(shared_server, point, reply) == "Complete (1/1)"
        received = (tmp_path / "received").read_bytes().split(b"\0")[:-1]
        assert received == [verdict.params[0][name].encode() for name in PRINTED for _ in range(3)]
        built += 1
    assert built >= len(hostile_values(provider)) // 2
    assert not list(tmp_path.rglob(MARKER))


def hostile_values(provider: str) -> list[str]:
    """Some of the corpus, others for each provider, and those that stand for all."""
    first = list(SAMPLES).index(provider)
    return [*POLYGLOTS, *TAKEN[first :: 4 * len(SAMPLES)]][:10]


def hostile_pushes(sample: Sample, provider: str) -> Iterator[dict[str, Any]]:
    """The push with hostile values in every field that people fill in, and in its refs."""
    taken = {key for key in FREE if is_taken(sample, fill(sample.data, POLYGLOTS[0], {key}))}
    for value in hostile_values(provider):
        yield fill(sample.data, value, taken)
    for value in POLYGLOTS:
        yield fill(sample.data, f"refs/heads/{value}", {"ref", "displayId"})
    for key in sorted(FREE - taken):
        yield fill(sample.data, POLYGLOTS[0], {key})


def new_headers(sample: Sample) -> dict[str, str]:
    """The sample's headers without its delivery's id: what follows is not that delivery again."""
    return {name: text for name, text in sample.headers.items() if "Event" in name} | {
        "Content-Type": "application/json"
    }


def is_taken(sample: Sample, data: dict[str, Any]) -> bool:
    """Whether the provider makes a build of the data."""
    outcome = judge(make(sample.provider), request(json.dumps(data).encode(), dict(sample.headers)))
    return isinstance(outcome, Verdict)


def fill(data: Any, value: str, keys: set[str]) -> Any:
    """The data with that text in place of every text of one of these keys."""
    if isinstance(data, list):
        return [fill(one, value, keys) for one in data]
    if not isinstance(data, dict):
        return deepcopy(data)
    return {
        key: value if key in keys and isinstance(old, str) else fill(old, value, keys)
        for key, old in data.items()
    }
