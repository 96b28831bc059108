"""Deliveries seen and taken again, and sample pushes that the app's own validator believes."""

import json
import re
from base64 import b64encode
from collections.abc import Callable

import pytest

from sloth_ci.cli.samples import provider_names
from tests.calls import Api, wait_until
from tests.cli.conftest import Done, Person

MakeApp = Callable[..., str]
Typed = Callable[..., Done]
SECRET = "a-secret-of-the-tests"
SIGNING = "whsec_" + b64encode(b"0123456789abcdef0123456789abcdef").decode()


def provider(name: str, key: str = "secret", value: str = SECRET, **more: str) -> str:
    further = "".join(f", {one}: {text}" for one, text in more.items())
    return f"{{{name}: {{{key}: {value}{further}}}}}"


@pytest.mark.parametrize("name", provider_names())
@pytest.mark.parametrize(
    ("words", "kind", "text"),
    [(("--branch", "feature/x"), "branch", "feature/x"), (("--tag", "v1"), "tag", "v1")],
    ids=["a branch", "a tag"],
)
def test_a_sample_is_taken_for_what_it_samples(
    typed: Typed, app: MakeApp, name: str, words: tuple[str, ...], kind: str, text: str
) -> None:
    more = {"tags": "['*']"} if name != "dummy" else {}
    listen_point = app(f"echo {{{kind}}} {{commit}} {{message}}", provider=provider(name, **more))
    commit = "0123456789" * 4

    done = typed(
        *("hook", name, listen_point, *words, "--commit", commit, "-m", "hello"),
        *("--secret", SECRET, "--wait"),
    )

    assert (done.code, done.err) == (0, "")
    assert f"  {text} {commit} hello\n" in done.out


def test_a_gitlab_signing_token_signs(typed: Typed, app: MakeApp) -> None:
    name = app("true", provider=provider("gitlab", "signing_token", SIGNING))

    assert typed("hook", "gitlab", name, "-s", SIGNING, "-w").code == 0


def test_a_wrong_secret_is_refused_as_the_providers_would_be(typed: Typed, app: MakeApp) -> None:
    name = app("true", provider=provider("github"))

    done = typed("hook", "github", name, "-s", "another")

    assert (done.code, done.out) == (1, "")
    assert "signature" in done.err


def test_a_push_that_builds_nothing_says_why(typed: Typed, app: MakeApp) -> None:
    name = app("true", provider=provider("github", branches="[main]"))

    done = typed("hook", "github", name, "-b", "dev", "-s", SECRET)

    assert done.said == (0, "The branch is 'dev'; this app builds main.\n", "")


def test_the_secret_comes_from_the_environment_or_the_terminal(user: Person, app: MakeApp) -> None:
    name = app("true", provider=provider("github"))

    from_environment = user.sci("hook", "github", name, env={"SLOTH_HOOK_SECRET": SECRET})
    typed = user.type_in_terminal("hook", "github", name, answers={"secret": SECRET})

    assert re.fullmatch(rf"{name} takes it: build \d+\.\n", from_environment.out)
    assert typed.code == 0
    assert SECRET not in typed.out


def test_a_dry_run_sends_nothing_and_shows_what_it_would(typed: Typed, app: MakeApp) -> None:
    name = app("true", provider=provider("gitlab"))

    done = typed("hook", "gitlab", name, "--repo", "me/it", "--dry-run", "--json", "-s", SECRET)

    value = json.loads(done.out)
    assert value["headers"]["X-Gitlab-Token"] == SECRET
    assert json.loads(value["body"])["project"]["path_with_namespace"] == "me/it"
    assert typed("deliveries", name).said == (0, "No deliveries.\n", "")


def test_deliveries_are_seen_rule_by_rule_and_taken_again(
    typed: Typed, api: Api, app: MakeApp
) -> None:
    name = app("true", provider=provider("github", branches="[main]"))
    typed("hook", "github", name, "-s", SECRET, "-w")
    typed("hook", "github", name, "-s", SECRET, "-b", "dev")

    listed = json.loads(typed("deliveries", name, "--json").out)
    ignored, accepted = (str(one["id"]) for one in listed)

    assert [one["verdict"] for one in listed] == ["ignored", "accepted"]
    table = typed("deliveries", name).out
    assert re.search(rf"^{accepted} +{name} .* accepted +202 ", table, re.MULTILINE)
    wait_until(lambda: api("delivery", id=ignored).value["rules"])  # a moment behind the answer
    wait_until(lambda: api("delivery", id=accepted).value["rules"])
    shown = typed("delivery", ignored).out
    assert shown.startswith(f"Delivery {ignored} for {name}: ignored\n")
    assert re.search(r"^branch +fails +main +dev$", shown, re.MULTILINE)
    would = typed("replay", accepted, "--dry-run")
    assert would.out.startswith(f"Delivery {accepted} would make 1 build.\n")
    again = typed("replay", accepted)
    assert re.match(rf"Delivery {accepted} made build \d+\.\n", again.out)
    nothing = typed("replay", ignored)
    assert nothing.out.startswith(f"Delivery {ignored} made no build: The branch is 'dev'")
    assert (would.code, again.code, nothing.code) == (0, 0, 0)
