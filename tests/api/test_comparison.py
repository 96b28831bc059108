"""What differs between a build and the last good one."""

from typing import Any

from sloth_ci.api.explain.comparison import Comparison, compare_configs
from sloth_ci.builds import BuildStatus
from sloth_ci.store import Cause, StoredBuild

CONFIG = "listen_point: web\nactions: [make]\nparams: {branch: main}\n"


def make_build(**more: Any) -> StoredBuild:
    known: dict[str, Any] = {
        "id": 2,
        "app_id": 1,
        "listen_point": "web",
        "cause": Cause.PUSH,
        "status": BuildStatus.FAILED,
        "total": 1,
        "completed": 0,
        "queued": 1.0,
        "started": 2.0,
        "finished": 3.0,
    }
    return StoredBuild(**(known | more))


def compare(then: dict[str, str], now: dict[str, str], **more: Any) -> Comparison:
    config = more.pop("config", ())
    before = make_build(id=1, params=then, commit_id=then.get("commit", ""))
    after = make_build(params=now, commit_id=now.get("commit", ""))
    return Comparison(now=after, then=before, config=config)


def test_params_that_changed_came_or_went_are_named() -> None:
    found = compare({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "9", "d": "4"})

    assert found.params == (("b", "2", "9"), ("c", "3", None), ("d", None, "4"))


def test_keys_of_the_config_that_changed_are_named_and_no_values() -> None:
    new = CONFIG.replace("make", "make, secret-word").replace("{branch", "{deep: er, branch")

    assert compare_configs(CONFIG, new) == ("actions", "params")


def test_a_key_that_came_or_went_has_changed() -> None:
    assert compare_configs(CONFIG, CONFIG + "timeout: 3\n") == ("timeout",)
    assert compare_configs(CONFIG + "timeout: 3\n", CONFIG) == ("timeout",)


def test_what_only_looks_different_has_not_changed() -> None:
    assert compare_configs(CONFIG, "# a comment\n" + CONFIG.replace("listen_point", "id")) == ()


def test_a_tag_makes_a_difference() -> None:
    assert compare_configs(CONFIG, CONFIG.replace("make", "!critical make")) == ("actions",)


def test_of_a_config_that_is_gone_nothing_is_known() -> None:
    assert compare_configs(None, CONFIG) is None
    assert compare_configs(CONFIG, None) is None


def test_nothing_changed_when_the_same_commit_ran_with_the_same_config() -> None:
    assert compare(
        {"commit": "a", "pusher": "ann"}, {"commit": "a", "pusher": "bob"}
    ).nothing_changed
    assert compare({"n": "1"}, {"n": "1"}).nothing_changed
    assert not compare({"n": "1"}, {"n": "2"}).nothing_changed
    assert not compare({"commit": "a"}, {"commit": "b"}).nothing_changed
    assert not compare({}, {}, config=("actions",)).nothing_changed
    assert not compare({}, {}, config=None).nothing_changed
