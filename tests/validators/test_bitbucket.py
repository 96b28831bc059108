"""Bitbucket Cloud and Bitbucket Server."""

from typing import Any

import pytest
from deliveries import SECRET, load, make, request, send, sign

from sloth_ci.errors import AddressRefused, BadPayload, SignatureRefused
from sloth_ci.validators import Verdict

MANY = load("bitbucket-cloud", "push-multiple-changes")
SERVER = load("bitbucket-server", "refs_changed-v10")
PULL_REQUEST = load("bitbucket-cloud", "pr-created")
SERVER_PULL_REQUEST = load("bitbucket-server", "pr-opened")


def names(verdict: Verdict) -> list[str]:
    return [params["branch"] or params["tag"] for params in verdict.params]


def test_a_push_gives_its_branch_and_commit() -> None:
    [params] = send(load("bitbucket-cloud", "push"), owner="brydzewski", repo="foo").params
    assert params["branch"] == "master"
    assert params["commit"] == "141977fedf5cf35aa290ac87d4b5177ac4cd9de1"
    assert params["before"] == "40e7580cf11311d84a6e5e97e2cbba6df1675750"
    assert params["author"] == "Brad Rydzewski"
    assert params["message"] == "Update README\n"
    assert params["url"].startswith("https://bitbucket.org/brydzewski/foo/commits/")
    assert params["event"] == "repo:push"


@pytest.mark.parametrize(
    ("options", "built"),
    [
        ({}, ["main", "manchu"]),
        ({"tags": ["*"]}, ["main", "manchu", "v0.1"]),
        ({"branches": ["main"]}, ["main"]),
        ({"branches": ["main"], "tags": ["v*"]}, ["main", "v0.1"]),
        ({"branches": ["other"]}, []),
        ({"branches": [], "tags": ["v*"]}, ["v0.1"]),
    ],
    ids=str,
)
def test_one_push_gives_a_build_for_each_change(options: dict[str, Any], built: list[str]) -> None:
    verdict = send(MANY, **options)
    assert names(verdict) == built
    assert len({params["commit"] for params in verdict.params}) == len(built)
    assert bool(verdict.reason) == (not built)


def test_all_changes_of_a_push_are_taken_or_none() -> None:
    data = MANY.data
    data["push"]["changes"][1]["new"]["name"] = "--upload-pack=id"
    with pytest.raises(BadPayload, match="'branch' must be a name that does not start with '-'"):
        send(MANY, data)
    data["push"]["changes"][1]["new"] = {"type": "branch", "name": "spam"}
    with pytest.raises(BadPayload, match=r"'push\.changes\.1\.new\.target\.hash' must be text"):
        send(MANY, data)


def test_a_deletion_among_changes_is_passed_over() -> None:
    data = MANY.data
    change = data["push"]["changes"][0]
    change["old"], change["new"] = change["new"], None
    assert names(send(MANY, data)) == ["manchu"]


def test_the_same_branch_twice_gives_two_builds() -> None:
    data = MANY.data
    data["push"]["changes"][1] = data["push"]["changes"][0]
    assert names(send(MANY, data)) == ["main", "main"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("push-branch-delete", "was deleted"),
        ("push-tag-delete", "'refs/tags/feature/x' was deleted"),
        ("push-empty-changes", "no change"),
        ("repo-fork", "The event is 'repo:fork'; this app builds on push."),
        ("pr-created", "The event is 'pullrequest:created'"),
    ],
)
def test_there_is_nothing_to_do_for(name: str, said: str) -> None:
    verdict = send(load("bitbucket-cloud", name), tags=["*"])
    assert verdict.params == ()
    assert said in verdict.reason


def test_many_reasons_are_told_in_short() -> None:
    data = MANY.data
    [change, *_] = data["push"]["changes"]
    data["push"]["changes"] = [
        {**change, "new": {**change["new"], "name": f"branch-{number}"}} for number in range(1_000)
    ]
    reason = send(MANY, data, branches=["main"]).reason
    assert "'branch-0'" in reason
    assert len(reason) < 1_000


def test_a_new_branch_has_no_commit_before() -> None:
    [params] = send(load("bitbucket-cloud", "push-branch-create")).params
    assert params["before"] == ""


def test_an_annotated_tag_gives_the_commit_it_stands_on() -> None:
    [params] = send(load("bitbucket-cloud", "push-annotated-tag"), tags=["test-*"]).params
    assert (params["tag"], params["commit"]) == (
        "test-tag",
        "7ef5981d59145c3ed300b1ab77b93907d33abe59",
    )


@pytest.mark.parametrize("event", ["pullrequest:created", "PullRequest:Created"])
def test_a_pull_request_gives_its_source(event: str) -> None:
    [params] = send(PULL_REQUEST, events=[event]).params
    assert (params["branch"], params["commit"]) == ("develop", "507a576e59b3")
    assert params["message"] == "Awesome new feature"


@pytest.mark.parametrize("source", [{"full_name": "mallory/foo"}, None], ids=["a fork", "gone"])
def test_a_pull_request_from_a_fork_is_never_built(source: Any) -> None:
    data = PULL_REQUEST.data
    data["pullrequest"]["source"]["repository"] = source
    verdict = send(PULL_REQUEST, data, events=["pullrequest:created"])
    assert "forks are never built" in verdict.reason


@pytest.mark.parametrize(
    ("folder", "name", "header"),
    [
        ("bitbucket-cloud", "push", "X-Request-UUID"),
        ("bitbucket-server", "refs_changed-v10", "X-Request-Id"),
    ],
)
def test_the_delivery_id_is_in(folder: str, name: str, header: str) -> None:
    sample = load(folder, name)
    headers = {**sample.headers, header: "59cc6a6f", "X-Hook-UUID": "hook", "X-Attempt-Number": "2"}
    assert make(sample.provider).validate(request(sample.body, headers)).delivery_id == "59cc6a6f"


def test_a_push_to_the_server_gives_its_branch_and_commit() -> None:
    [params] = send(SERVER, owner="amuniz", repo="test-repos").params
    assert (params["owner"], params["repo"]) == ("AMUNIZ", "test-repos")
    assert params["branch"] == "feature/BB-1"
    assert params["commit"] == "fb522a6f08c7c7df337312e4e65ec1b57710672e"
    assert params["before"] == ""
    assert params["author"] == "Antonio Muniz"
    assert params["message"] == "Suppress echo command part"
    assert params["event"] == "repo:refs_changed"


def test_an_annotated_tag_of_the_server_gives_the_commit_it_stands_on() -> None:
    sample = load("bitbucket-server", "refs_changed-annotated-tag")
    [params] = send(sample, tags=["*"]).params
    assert params["tag"] == "annotated-tag"
    assert params["commit"] == sample.data["toCommit"]["id"] != sample.data["changes"][0]["toHash"]


def test_one_push_to_the_server_gives_a_build_for_each_change() -> None:
    data = SERVER.data
    [change] = data["changes"]
    other = {**change, "ref": {**change["ref"], "id": "refs/heads/main"}, "toHash": "b" * 40}
    data["changes"] = [change, other, {**change, "type": "DELETE"}]
    verdict = send(SERVER, data)
    assert names(verdict) == ["feature/BB-1", "main"]
    assert [params["commit"] for params in verdict.params] == [change["toHash"], "b" * 40]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("refs_changed-branch-deleted", "'refs/heads/feature/BB-1' was deleted"),
        ("refs_changed", "was deleted"),
        ("push-tag-create", "lists none in 'tags'"),
        ("repo-modified", "The event is 'repo:modified'"),
        ("pr-opened", "The event is 'pr:opened'"),
    ],
)
def test_there_is_nothing_to_do_on_the_server_for(name: str, said: str) -> None:
    verdict = send(load("bitbucket-server", name))
    assert verdict.params == ()
    assert said in verdict.reason


def test_a_pull_request_of_the_server_gives_its_source() -> None:
    [params] = send(SERVER_PULL_REQUEST, events=["pr:opened"], owner="~gopher").params
    assert params["branch"] == "feature/wip"
    assert params["commit"] == "32a0b8a740c2963c6f56bd8baf3dc05683d299e0"


def test_a_pull_request_of_the_server_from_a_fork_is_never_built() -> None:
    data = SERVER_PULL_REQUEST.data
    data["pullRequest"]["fromRef"]["repository"]["project"]["key"] = "~mallory"
    verdict = send(SERVER_PULL_REQUEST, data, events=["pr:opened"])
    assert "'~mallory/webhook-test'; forks are never built" in verdict.reason


PING = {"X-Event-Key": "diagnostics:ping"}
BODIES = [b'{"test": true}', b"", b"\xff", load("bitbucket-server", "refs_changed-v10").body]


@pytest.mark.parametrize("body", BODIES, ids=["its own", "none", "no text", "a push"])
@pytest.mark.parametrize("signature", [None, "wrong", "right"])
@pytest.mark.parametrize("event", ["push", "diagnostics:ping"])
def test_the_connection_test_has_one_answer_and_builds_nothing(
    body: bytes, signature: str | None, event: str
) -> None:
    secret = {"right": SECRET, "wrong": "another"}.get(signature or "")
    signed = sign("bitbucket_server", body, secret) if secret else {}
    headers = {**PING, **signed, "X-Request-Id": "é" * 999}
    verdict = make("bitbucket_server", secret=SECRET, events=[event]).validate(
        request(body, headers)
    )
    assert verdict == Verdict(
        "diagnostics:ping", None, (), "The connection works; a test builds nothing."
    )


def test_the_connection_test_must_come_from_a_trusted_address() -> None:
    with pytest.raises(AddressRefused):
        make("bitbucket_server", secret=SECRET, trusted_ips="198.51.100.1").validate(
            request(b"{}", PING)
        )


@pytest.mark.parametrize(
    "event",
    ["Diagnostics:Ping", "diagnostics:ping, repo:refs_changed", "diagnostics:ping ", "ping", ""],
)
def test_only_the_connection_test_may_come_unsigned(event: str) -> None:
    with pytest.raises(SignatureRefused):
        make("bitbucket_server", secret=SECRET, events=[event or "push"]).validate(
            request(SERVER.body, {"X-Event-Key": event})
        )
