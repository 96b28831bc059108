"""GitHub's pushes, pull requests and other events."""

from collections.abc import Callable
from typing import Any

import pytest
from deliveries import load, make, request, send

from sloth_ci.errors import BadPayload

PUSH = load("github", "push-two-commits")
PULL_REQUEST = load("github", "pull_request-opened")
COMMIT = "1234567890abcdef1234567890abcdef12345678"


def pushed(ref: str, **others: Any) -> dict[str, Any]:
    return {**PUSH.data, "ref": ref, **others}


def test_a_push_gives_its_branch_and_commit() -> None:
    data = PUSH.data
    verdict = send(PUSH)
    assert (verdict.event, verdict.delivery_id, verdict.reason) == ("push", None, "")
    assert verdict.params == (
        {
            "event": "push",
            "delivery": "",
            "owner": "Codertocat",
            "repo": "Hello-World",
            "ref": "refs/heads/master",
            "branch": "master",
            "tag": "",
            "commit": data["after"],
            "before": data["before"],
            "author": data["head_commit"]["author"]["name"],
            "message": data["head_commit"]["message"],
            "url": data["head_commit"]["url"],
        },
    )


def test_the_delivery_id_tells_the_same_delivery_again() -> None:
    headers = {**PUSH.headers, "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958"}
    verdict = make("github").validate(request(PUSH.body, headers))
    assert verdict.delivery_id == "72d3162e-cc78-11e3-81ab-4c9367dc0958"
    assert verdict.params[0]["delivery"] == verdict.delivery_id


@pytest.mark.parametrize(
    ("ref", "branch", "tag"),
    [
        ("refs/heads/feature/login", "feature/login", ""),
        ("refs/heads/refs/heads/a", "refs/heads/a", ""),
        ("refs/heads/refs/tags/v1", "refs/tags/v1", ""),
        ("refs/heads/a b;$(id)'\"", "a b;$(id)'\"", ""),
        ("refs/heads/ветка/🦥", "ветка/🦥", ""),
        ("refs/tags/v1.0", "", "v1.0"),
        ("refs/tags/release/v1.0", "", "release/v1.0"),
        ("refs/tags/main", "", "main"),
    ],
)
def test_the_name_behind_the_prefix_stays_whole(ref: str, branch: str, tag: str) -> None:
    [params] = send(PUSH, pushed(ref), tags=["*"]).params
    assert (params["ref"], params["branch"], params["tag"]) == (ref, branch, tag)


@pytest.mark.parametrize(
    "ref", ["refs/notes/commits", "refs/pull/1/head", "main", "heads/main", "refs/headsmain"]
)
def test_a_ref_that_is_neither_branch_nor_tag_is_nothing_to_do(ref: str) -> None:
    verdict = send(PUSH, pushed(ref), tags=["*"])
    assert verdict.params == ()
    assert "neither a branch nor a tag" in verdict.reason


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ref", "refs/heads/--upload-pack=touch M"),
        ("ref", "refs/heads/-"),
        ("ref", "refs/tags/-v1"),
        ("ref", "-refs/heads/main"),
        ("ref", "refs/heads/"),
        ("ref", "refs/tags/"),
        ("ref", ""),
        ("after", "-" + "0" * 39),
        ("after", "main"),
        ("after", "a" * 39),
        ("after", "a" * 41),
        ("after", "g" * 40),
        ("after", "a" * 40 + "\n"),
        ("before", "--help"),
    ],
)
def test_a_name_is_refused_that_a_command_could_misread(field: str, value: str) -> None:
    with pytest.raises(BadPayload) as refused:
        send(PUSH, {**PUSH.data, field: value, "head_commit": None}, tags=["*"])
    assert refused.value.status == 400
    assert refused.value.details["field"] in (field, "branch", "tag")


@pytest.mark.parametrize("length", [40, 64])
def test_commits_of_both_of_gits_hashes_are_taken(length: int) -> None:
    data = pushed("refs/heads/main", after="Ab" * (length // 2), head_commit=None)
    assert send(PUSH, data).params[0]["commit"] == "Ab" * (length // 2)


@pytest.mark.parametrize(
    ("branches", "branch", "built"),
    [
        (None, "anything/at/all", True),
        (["master"], "master", True),
        (["master"], "Master", False),
        (["master"], "master2", False),
        (["m"], "master", False),
        ("master", "master", True),
        (["feature/*"], "feature/a/b", True),
        (["feature/*"], "feature", False),
        (["*/login"], "feature/new/login", True),
        (["v[0-9]"], "v1", True),
        (["a", "b"], "b", True),
        ([], "master", False),
    ],
)
def test_branches_are_globs(branches: Any, branch: str, built: bool) -> None:
    options = {} if branches is None else {"branches": branches}
    verdict = send(PUSH, pushed(f"refs/heads/{branch}"), **options)
    assert bool(verdict.params) == built
    assert built or f"The branch is '{branch}'" in verdict.reason


def test_tags_are_built_only_when_asked_for() -> None:
    sample = load("github", "push-tag")
    assert "lists none in 'tags'" in send(sample).reason
    assert "builds v1.*" in send(sample, tags=["v1.*"]).reason
    [params] = send(sample, tags=["v0.*"], branches=["master"]).params
    assert (params["tag"], params["branch"], params["before"]) == ("v0.0.1", "", "")


def test_an_annotated_tag_gives_the_commit_it_stands_on() -> None:
    data = load("github", "push-tag").data
    data["after"] = COMMIT
    [params] = send(load("github", "push-tag"), data, tags=["*"]).params
    assert params["commit"] == data["head_commit"]["id"] != COMMIT


@pytest.mark.parametrize(
    ("owner", "repo", "built"),
    [
        ("Codertocat", "Hello-World", True),
        ("codertocat", "hello-world", True),
        ("someone", "Hello-World", False),
        ("Codertocat", "Hello", False),
        ("", "Hello-World", True),
        ("Codertocat", "", True),
    ],
)
def test_another_repository_is_nothing_to_do(owner: str, repo: str, built: bool) -> None:
    verdict = send(PUSH, owner=owner, repo=repo)
    assert bool(verdict.params) == built
    if not built:
        seen = "Hello-World" if owner == "Codertocat" else "Codertocat"
        wanted = repo if owner == "Codertocat" else owner
        assert f"'{seen}'" in verdict.reason
        assert f"'{wanted}'" in verdict.reason


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("push-branch-delete", "'refs/heads/feature-branch' was deleted"),
        ("push-tag-delete", "'refs/tags/simple-tag' was deleted"),
        ("delete-tag", "The event is 'delete'"),
        ("ping-repository", "The event is 'ping'; this app builds on push."),
        ("ping-organization", "The event is 'ping'"),
        ("ping-signed-sha1-and-256", "The event is 'ping'"),
        ("pull_request-opened", "The event is 'pull_request'"),
        ("create-tag", "The event is 'create'"),
        ("issue_comment-created", "The event is 'issue_comment'"),
    ],
)
def test_there_is_nothing_to_do_for(name: str, said: str) -> None:
    verdict = send(load("github", name), tags=["*"])
    assert verdict.params == ()
    assert said in verdict.reason


def test_a_deletion_is_one_by_its_zeros_alone() -> None:
    data = pushed("refs/heads/main", after="0" * 40, deleted=False, head_commit=None)
    assert "was deleted" in send(PUSH, data).reason


def test_a_pull_request_gives_its_head() -> None:
    verdict = send(PULL_REQUEST, events=["push", "pull_request"])
    [params] = verdict.params
    head = PULL_REQUEST.data["pull_request"]["head"]
    assert verdict.event == "pull_request"
    assert (params["branch"], params["commit"]) == (head["ref"], head["sha"])
    assert params["message"] == PULL_REQUEST.data["pull_request"]["title"]
    assert params["author"] == "Codertocat"


def test_new_commits_of_a_pull_request_are_built_and_its_end_is_not() -> None:
    options = {"events": ["pull_request"]}
    [params] = send(load("github", "pull_request-synchronize"), **options).params
    assert params["before"] == load("github", "pull_request-synchronize").data["before"]
    closed = load("github", "pull_request-closed")
    assert "with the action 'closed'" in send(closed, **options).reason
    assert send(closed, events=["pull_request.closed"]).params
    assert send(closed, events=["pull_request", "pull_request.closed"]).params
    assert not send(PULL_REQUEST, events=["pull_request.closed"]).params


def in_a_fork(data: dict[str, Any]) -> None:
    data["pull_request"]["head"]["repo"]["full_name"] = "mallory/Hello-World"


def in_a_repository_that_is_gone(data: dict[str, Any]) -> None:
    data["pull_request"]["head"]["repo"] = None


@pytest.mark.parametrize("happened", [in_a_fork, in_a_repository_that_is_gone])
def test_a_pull_request_is_never_built_whose_head_is(
    happened: Callable[[dict[str, Any]], None],
) -> None:
    data = PULL_REQUEST.data
    happened(data)
    verdict = send(PULL_REQUEST, data, events=["pull_request", "pull_request.opened"])
    assert verdict.params == ()
    assert "forks are never built" in verdict.reason


def test_a_workflow_run_of_a_fork_is_never_built() -> None:
    sample = load("github", "workflow_run-completed")
    assert send(sample, events=["workflow_run"]).params[0]["branch"] == "master"
    data = sample.data
    data["workflow_run"]["head_repository"]["full_name"] = "mallory/octo-repo"
    assert "forks are never built" in send(sample, data, events=["workflow_run"]).reason


@pytest.mark.parametrize(
    ("name", "events", "branch", "tag"),
    [
        ("create-tag", ["create"], "", "simple-tag"),
        ("release-published", ["release"], "", "0.0.1"),
        ("release-created", ["release.created"], "", "0.0.1"),
        ("workflow_dispatch", ["workflow_dispatch"], "master", ""),
        (
            "merge_group-checks_requested",
            ["merge_group"],
            "gh-readonly-queue/main/pr-104-929f8209d40f77f4abc622a499c93a83babdbe64",
            "",
        ),
        ("issue_comment-created", ["issue_comment"], "", ""),
        ("check_run-completed", ["check_run.completed"], "", ""),
        ("status", ["status"], "", ""),
    ],
)
def test_an_event_that_is_listed_is_built(
    name: str, events: list[str], branch: str, tag: str
) -> None:
    [params] = send(load("github", name), events=events, tags=["*"]).params
    assert (params["branch"], params["tag"]) == (branch, tag)
    assert params["repo"] in ("Hello-World", "octo-repo")


def test_the_release_that_is_only_created_waits_for_its_publication() -> None:
    assert (
        "the action 'created'" in send(load("github", "release-created"), events=["release"]).reason
    )
