"""Gitea, Forgejo and Gogs."""

from typing import Any

import pytest
from deliveries import SECRET, load, make, request, send, sign

from sloth_ci.errors import SignatureRefused

FORGEJO = load("forgejo", "push")
PULL_REQUEST = load("gitea", "pull_request")


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("gitea", ("example", "example", "master", "example", "example\n")),
        ("forgejo", ("gordon", "hello-world", "main", "Gordon the Gopher", "bump\n")),
        ("gogs", ("unknwon", "webhooks", "develop", "Unknwon", "Add new feature")),
    ],
)
def test_a_push_gives_its_branch_and_commit(folder: str, expected: tuple[str, ...]) -> None:
    sample = load(folder, "push")
    [params] = send(sample).params
    assert params["commit"] == sample.data["after"]
    assert params["url"] == sample.data["commits"][0]["url"]
    found = [params[name] for name in ("owner", "repo", "branch", "author", "message")]
    assert tuple(found) == expected


@pytest.mark.parametrize("provider", ["gitea", "forgejo", "gogs"])
def test_the_provider_comes_from_the_config_and_not_from_headers(provider: str) -> None:
    foreign = {
        "X-GitHub-Event": "push",
        "X-Hub-Signature-256": "sha256=" + "0" * 64,
        **sign("github", FORGEJO.body),
    }
    with pytest.raises(SignatureRefused, match="missing"):
        make(provider, secret=SECRET).validate(request(FORGEJO.body, foreign))


GOOD, BAD = sign("gitea", FORGEJO.body)["X-Gitea-Signature"], "0" * 64


@pytest.mark.parametrize(
    ("forgejos", "giteas", "taken"),
    [
        (GOOD, GOOD, True),
        (GOOD, BAD, True),
        (GOOD, None, True),
        (None, GOOD, True),
        (BAD, GOOD, False),
        ("", GOOD, False),
        (BAD, None, False),
        (None, BAD, False),
        (None, None, False),
    ],
    ids=[
        "both right",
        "Forgejo's right, Gitea's wrong",
        "Forgejo's alone",
        "Gitea's alone, from an old version",
        "Gitea's does not rescue a wrong one",
        "Gitea's does not rescue an empty one",
        "Forgejo's wrong",
        "Gitea's wrong",
        "none",
    ],
)
def test_forgejos_own_signature_decides(
    forgejos: str | None, giteas: str | None, taken: bool
) -> None:
    signatures = {"X-Forgejo-Signature": forgejos, "X-Gitea-Signature": giteas}
    sent = {name: value for name, value in signatures.items() if value is not None}
    validator = make("forgejo", secret=SECRET)
    delivery = request(FORGEJO.body, {**FORGEJO.headers, **sent})
    if taken:
        assert validator.validate(delivery).params
        return
    with pytest.raises(SignatureRefused):
        validator.validate(delivery)


@pytest.mark.parametrize(
    ("folder", "name", "said"),
    [
        ("gitea", "create", "The event is 'create'"),
        ("gitea", "delete", "The event is 'delete'"),
        ("gitea", "fork", "The event is 'fork'"),
        ("gitea", "issue_comment", "The event is 'issue_comment'"),
        ("gitea", "pull_request", "The event is 'pull_request'"),
        ("forgejo", "create-tag", "The event is 'create'"),
        ("gogs", "create", "The push that made the branch is built"),
        ("gogs", "branch-create", "The push that made the branch is built"),
        ("gogs", "delete", "The event is 'delete'"),
        ("gogs", "tag-delete", "The event is 'delete'"),
    ],
)
def test_there_is_nothing_to_do_for(folder: str, name: str, said: str) -> None:
    verdict = send(load(folder, name), tags=["*"])
    assert verdict.params == ()
    assert said in verdict.reason


@pytest.mark.parametrize(
    ("folder", "name", "ref"),
    [
        ("gitea", "create", "refs/heads/master"),
        ("gitea", "create-tag", "refs/tags/v1.0.0"),
        ("forgejo", "create-tag", "refs/tags/v1.0.0"),
        ("gogs", "create", "refs/heads/feature-branch"),
        ("gogs", "branch-create", "refs/heads/feature"),
    ],
    ids=["Gitea's branch", "Gitea's tag", "Forgejo's tag", "Gogs's full ref", "Gogs's short ref"],
)
def test_a_creation_that_is_listed_gives_the_whole_ref(folder: str, name: str, ref: str) -> None:
    [params] = send(load(folder, name), events=["create"], tags=["*"]).params
    assert params["ref"] == ref
    assert params["commit"] == load(folder, name).data.get("sha", "")


def test_a_deletion_is_never_built() -> None:
    for folder, name in (("gitea", "delete"), ("gitea", "branch-delete"), ("gogs", "tag-delete")):
        verdict = send(load(folder, name), events=["delete"], tags=["*"])
        assert verdict.params == ()
        assert "was deleted" in verdict.reason


def test_gogs_tells_of_a_tag_by_its_creation_alone() -> None:
    data = {**load("gogs", "tag-delete").data, "ref_type": "tag", "ref": "v1.0.0"}
    delivery = load("gogs", "branch-create")
    assert send(delivery, data, tags=["v*"]).params[0]["tag"] == "v1.0.0"
    assert "lists none in 'tags'" in send(delivery, data).reason


def test_a_pull_request_from_a_fork_is_never_built() -> None:
    verdict = send(PULL_REQUEST, events=["pull_request"])
    assert "the fork 'example2/example'; forks are never built" in verdict.reason


@pytest.mark.parametrize("action", ["opened", "reopened", "synchronized"])
def test_a_pull_request_of_the_repository_gives_its_head(action: str) -> None:
    data: dict[str, Any] = {**PULL_REQUEST.data, "action": action}
    data["pull_request"]["head"]["repo"] = data["repository"]
    [params] = send(PULL_REQUEST, data, events=["pull_request"]).params
    assert params["commit"] == data["pull_request"]["head"]["sha"]
    assert params["message"] == "update"


@pytest.mark.parametrize(("head", "built"), [("user/repo", True), ("mallory/repo", False)])
def test_a_pull_request_of_gogs_gives_its_branch(head: str, built: bool) -> None:
    sample = load("gogs", "pull_request")
    data = sample.data
    data["pull_request"].update(head_branch="feature", head_repo={"full_name": head})
    verdict = send(sample, data, events=["pull_request"])
    assert [params["branch"] for params in verdict.params] == (["feature"] if built else [])


def test_a_release_gives_its_tag() -> None:
    [params] = send(load("gitea", "release"), events=["release"], tags=["*"]).params
    assert (params["tag"], params["message"]) == ("example", "0.0.0")


@pytest.mark.parametrize(
    ("folder", "header"),
    [
        ("gitea", "X-Gitea-Delivery"),
        ("forgejo", "X-Forgejo-Delivery"),
        ("forgejo", "X-Gitea-Delivery"),
        ("gogs", "X-Gogs-Delivery"),
    ],
)
def test_the_delivery_id_is_in(folder: str, header: str) -> None:
    sample = load(folder, "push")
    verdict = make(folder).validate(request(sample.body, {**sample.headers, header: "f6266f16"}))
    assert verdict.delivery_id == "f6266f16"
