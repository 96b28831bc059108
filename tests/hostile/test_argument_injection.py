"""T2: names that a command would take for options are refused, in every provider."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.calls import Api, send
from tests.conftest import LOGIN, RunningServer
from tests.template.test_hostile_values import MARKER
from tests.validators.deliveries import load

OPTION = "--upload-pack=touch M"
#: Each names a ref, a branch, a tag or a commit that starts with '-'.
PLACES: dict[str, tuple[str, str, str, str]] = {
    "github's branch": ("github", "push-two-commits", "ref", f"refs/heads/{OPTION}"),
    "github's ref": ("github", "push-two-commits", "ref", OPTION),
    "github's tag": ("github", "push-tag", "ref", f"refs/tags/{OPTION}"),
    "github's commit": ("github", "push-two-commits", "after", OPTION),
    "bitbucket's branch": ("bitbucket-cloud", "push", "push.changes.0.new.name", OPTION),
    "bitbucket's commit": ("bitbucket-cloud", "push", "push.changes.0.new.target.hash", OPTION),
    "bitbucket server's branch": (
        "bitbucket-server",
        "refs_changed",
        "changes.0.ref.id",
        f"refs/heads/{OPTION}",
    ),
    "bitbucket server's commit": ("bitbucket-server", "refs_changed", "changes.0.toHash", OPTION),
    "gitlab's branch": ("gitlab", "push", "ref", f"refs/heads/{OPTION}"),
    "gitlab's commit": ("gitlab", "push", "after", OPTION),
    "gitea's branch": ("gitea", "push", "ref", f"refs/heads/{OPTION}"),
    "gitea's commit": ("gitea", "push", "after", OPTION),
    "forgejo's branch": ("forgejo", "push", "ref", f"refs/heads/{OPTION}"),
    "forgejo's commit": ("forgejo", "push", "after", OPTION),
    "gogs' branch": ("gogs", "push", "ref", f"refs/heads/{OPTION}"),
    "gogs' commit": ("gogs", "push", "after", OPTION),
}
#: The params of the providers whose payload has no shape of its own.
NAMES = ("ref", "branch", "tag", "commit")


def create(server: RunningServer, name: str, options: dict[str, Any], work_dir: Path) -> str:
    """An app whose build would run the option."""
    point = f"t2/{work_dir.name}"
    config = {
        "listen_point": point,
        "provider": {name: {"allow_unsigned": True, **options}},
        "actions": [f"touch {MARKER} {{ref}} {{branch}} {{tag}} {{commit}}"],
        "work_dir": str(work_dir),
    }
    return Api(server.url, LOGIN).create(json.dumps(config))


def assert_refused(server: RunningServer, point: str, body: Any, headers: dict[str, str]) -> None:
    """The delivery is answered 400, and nothing was built."""
    reply = send(
        server.url,
        method="POST",
        path=f"/{point}",
        headers=headers,
        body=json.dumps(body).encode(),
    )
    assert (reply.status, reply.value["error"]["code"]) == (400, "bad_payload")
    assert Api(server.url, LOGIN)("history", listen_point=point).value == []


def put(data: Any, path: str, value: str) -> None:
    """Change what is at that path; it must be there."""
    *way, last = path.split(".")
    for step in way:
        data = data[int(step)] if isinstance(data, list) else data[step]
    assert last in data
    data[last] = value


@pytest.mark.parametrize(("folder", "name", "path", "value"), PLACES.values(), ids=PLACES.keys())
def test_a_name_that_looks_like_an_option_is_refused(
    folder: str, name: str, path: str, value: str, shared_server: RunningServer, tmp_path: Path
) -> None:
    sample = load(folder, name)
    point = create(shared_server, sample.provider, {"tags": ["*"]}, tmp_path)
    data = sample.data
    put(data, path, value)
    assert_refused(shared_server, point, data, dict(sample.headers))
    assert not (tmp_path / MARKER).exists()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("provider", ["generic", "dummy"])
def test_a_param_that_looks_like_an_option_is_refused(
    provider: str, name: str, shared_server: RunningServer, tmp_path: Path
) -> None:
    options = {"params": {one: f"{one}?" for one in NAMES}} if provider == "generic" else {}
    point = create(shared_server, provider, options, tmp_path)
    assert_refused(shared_server, point, {name: OPTION}, {"Content-Type": "application/json"})
    assert not (tmp_path / MARKER).exists()
