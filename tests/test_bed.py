"""The bed: apps come, change and go whole, and what was refused leaves no trace."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sloth_ci.app import App
from sloth_ci.bed import Bed
from sloth_ci.errors import (
    AppNotFound,
    BadParam,
    ConfigFileNotFound,
    ConfigInvalid,
    ConfigMismatch,
    ConfigUnreadable,
    ListenPointTaken,
    NoProvider,
    SignatureRefused,
    SlothError,
    Stopping,
)
from sloth_ci.executors import ImmediateExecutor
from sloth_ci.journal import Journal
from sloth_ci.request import Request
from sloth_ci.store import Store
from sloth_ci.validators import Validator, Verdict
from sloth_ci.validators.dummy import DummyValidator
from tests.conftest import Runs

WEB = "listen_point: web\nactions: [echo hi]\n"


@pytest.fixture
def mounted() -> dict[str, App]:
    return {}


@pytest.fixture
def make_bed(
    tmp_path: Path, runs: Runs, mounted: dict[str, App]
) -> Iterator[Callable[[], tuple[Bed, Store]]]:
    stores: list[Store] = []

    def make() -> tuple[Bed, Store]:
        for old in stores:
            old.close()
        stores[:] = [Store(tmp_path / "sloth.db")]
        bed = Bed(
            store=stores[0],
            journal=Journal(stores[0]),
            base_dir=tmp_path,
            run_action=runs,
            make_executor=ImmediateExecutor,
            on_add=lambda app: mounted.__setitem__(app.listen_point, app),
            on_remove=lambda app: mounted.pop(app.listen_point),
        )
        return bed, stores[0]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def bed(make_bed: Callable[[], tuple[Bed, Store]]) -> Bed:
    return make_bed()[0]


def push(body: bytes = b"{}", **headers: str) -> Request:
    return Request("POST", "/web", "", headers, "192.0.2.1", body)


def test_a_created_app_is_found_and_mounted(bed: Bed, mounted: dict[str, App]) -> None:
    app = bed.create(WEB)
    assert bed.find("web") is app
    assert mounted == {"web": app}
    assert bed.apps() == [app]


def test_a_refused_create_leaves_no_app(bed: Bed, mounted: dict[str, App]) -> None:
    with pytest.raises(ConfigInvalid):
        bed.create("listen_point: web\nactions: text")
    assert (bed.apps(), mounted) == ([], {})


def test_a_second_app_on_the_same_listen_point_is_refused(bed: Bed) -> None:
    first = bed.create(WEB)
    with pytest.raises(ListenPointTaken):
        bed.create(WEB + "stop_on_first_fail: true\n")
    assert bed.find("web") is first


def test_an_unknown_app_is_answered_with_the_nearest_name(bed: Bed) -> None:
    bed.create(WEB)
    with pytest.raises(AppNotFound, match="Did you mean 'web'"):
        bed.find("wbe")


def test_removing_takes_the_app_away(bed: Bed, mounted: dict[str, App]) -> None:
    bed.create(WEB)
    bed.remove("web")
    assert (bed.apps(), mounted) == ([], {})
    with pytest.raises(AppNotFound):
        bed.remove("web")


def test_a_trigger_overrides_the_params_of_the_config(bed: Bed, runs: Runs) -> None:
    app = bed.create(WEB + "params: {a: config, b: config}\n")
    app.trigger({"b": "trigger", "c": "new"})
    assert runs.builds[0].params == {"a": "config", "b": "trigger", "c": "new"}


@pytest.mark.parametrize(
    "params",
    [{"x": "a\0b"}, {"no-name": "x"}, {"x": "\ud800"}, {"x": "y" * 200_000}],
    ids=["NUL", "a name that is none", "a lone surrogate", "too long"],
)
def test_a_param_that_no_environment_can_carry_is_refused(
    bed: Bed, runs: Runs, params: dict[str, str]
) -> None:
    app = bed.create(WEB)
    with pytest.raises(BadParam):
        app.trigger(params)
    assert runs.builds == []


def test_an_app_without_a_provider_takes_no_push(bed: Bed) -> None:
    with pytest.raises(NoProvider):
        bed.create(WEB).receive(push())


def test_a_refused_delivery_leaves_no_build_but_a_line_in_the_log(
    make_bed: Callable[[], tuple[Bed, Store]], runs: Runs
) -> None:
    bed, store = make_bed()
    app = bed.create(WEB + "provider: {github: {owner: o, repo: r, secret: hush-hush}}\n")
    with pytest.raises(SignatureRefused):
        app.receive(push(**{"x-github-event": "push"}))
    assert runs.builds == []
    store.flush()
    newest = store.logs(app_id=app.id, level=30, skip=0, most=1)[0]
    assert "192.0.2.1 refused" in newest.message


def test_an_app_is_bound_with_the_file_its_config_came_from(bed: Bed, tmp_path: Path) -> None:
    bed.create(WEB)
    file = tmp_path / "apps" / "web.yml"
    file.parent.mkdir()
    file.write_text("# the same\nid: web\nactions:\n- echo hi\n")
    bed.bind("web", str(file))
    assert bed.find("web").info().config_file == str(file)
    assert bed.find("web").base_dir == file.parent


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("other.yml", "listen_point: web\nactions: [rm]", ConfigMismatch),
        ("broken.yml", "listen_point: [", ConfigUnreadable),
        ("words.yml", "root:x:0:0:secret-word", ConfigUnreadable),
        ("latin.yml", b"listen_point: \xff", ConfigUnreadable),
        ("huge.yml", "#" * 300_000, ConfigUnreadable),
        ("absent.yml", None, ConfigFileNotFound),
    ],
)
def test_a_refused_bind_leaves_the_old_binding_and_tells_nothing_of_the_file(
    bed: Bed, tmp_path: Path, name: str, content: str | bytes | None, error: type[Exception]
) -> None:
    bed.create(WEB)
    good = tmp_path / "web.yml"
    good.write_text(WEB)
    bed.bind("web", str(good))
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(error) as refused:
        bed.bind("web", str(file))
    assert "secret-word" not in str(refused.value)
    assert bed.find("web").config_file == str(good)


@pytest.mark.parametrize("path", ["web.yml", "/", "/dev/null/x", "/dev/zero"])
def test_only_regular_files_at_absolute_paths_are_read(bed: Bed, path: str) -> None:
    bed.create(WEB)
    with pytest.raises((ConfigUnreadable, ConfigFileNotFound)):
        bed.bind("web", path)


def test_an_update_swaps_the_config_and_keeps_the_history(
    make_bed: Callable[[], tuple[Bed, Store]], runs: Runs
) -> None:
    bed, store = make_bed()
    bed.create(WEB).trigger({})
    bed.update("web", WEB + "exec_timeout: 7\n")
    bed.find("web").trigger({})
    assert [build.exec_timeout for build in runs.builds] == [None, 7]
    app_id = bed.find("web").id
    assert len(store.history(app_id=app_id, level=20, skip=0, most=9)) == 2


@pytest.mark.parametrize("text", ["listen_point: other\n", "nonsense", None])
def test_a_refused_update_changes_nothing(bed: Bed, text: str | None) -> None:
    app = bed.create(WEB)
    with pytest.raises((ConfigMismatch, ConfigInvalid, ConfigUnreadable)):
        bed.update("web", text)
    assert bed.find("web") is app


def test_a_bound_app_is_updated_from_its_file(bed: Bed, tmp_path: Path) -> None:
    bed.create(WEB)
    file = tmp_path / "web.yml"
    file.write_text(WEB)
    bed.bind("web", str(file))
    file.write_text(WEB + "timeout: 3\n")
    bed.update("web")
    assert bed.find("web").config.timeout == 3


def test_apps_are_taken_up_again_with_their_binding_and_newest_file(
    make_bed: Callable[[], tuple[Bed, Store]], tmp_path: Path
) -> None:
    bed, _store = make_bed()
    bed.create("listen_point: plain")
    bed.create(WEB)
    file = tmp_path / "web.yml"
    file.write_text(WEB)
    bed.bind("web", str(file))
    file.write_text(WEB + "timeout: 3\n")
    bed, _store = make_bed()
    bed.load(())
    assert [app.listen_point for app in bed.apps()] == ["plain", "web"]
    assert bed.find("web").config.timeout == 3
    assert bed.find("web").config_file == str(file)


@pytest.mark.parametrize("spoil", ["break", "delete", "rename"])
def test_a_bound_app_keeps_its_last_good_config(
    make_bed: Callable[[], tuple[Bed, Store]], tmp_path: Path, spoil: str
) -> None:
    bed, _store = make_bed()
    bed.create(WEB)
    file = tmp_path / "web.yml"
    file.write_text(WEB)
    bed.bind("web", str(file))
    if spoil == "break":
        file.write_text("actions: {")
    elif spoil == "delete":
        file.unlink()
    else:
        file.write_text("listen_point: other")
    bed, store = make_bed()
    bed.load(())
    assert [app.listen_point for app in bed.apps()] == ["web"]
    store.flush()
    newest = store.logs(app_id=bed.find("web").id, level=40, skip=0, most=1)[0]
    assert "the last good one stays" in newest.message


def test_an_app_that_cannot_be_taken_up_is_kept_for_the_next_start(
    make_bed: Callable[[], tuple[Bed, Store]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUSH", "secret")
    bed, _store = make_bed()
    bed.create("listen_point: web\nenv: {A: {env: HUSH}}")
    monkeypatch.delenv("HUSH")
    bed, _store = make_bed()
    bed.load(())
    assert bed.apps() == []
    monkeypatch.setenv("HUSH", "secret")
    bed, _store = make_bed()
    bed.load(())
    assert [app.listen_point for app in bed.apps()] == ["web"]


def test_a_file_does_not_take_the_listen_point_of_an_app_made_over_the_api(
    make_bed: Callable[[], tuple[Bed, Store]], tmp_path: Path
) -> None:
    bed, _store = make_bed()
    bed.create(WEB)
    (tmp_path / "web.yml").write_text("listen_point: web\nactions: [other]")
    bed, _store = make_bed()
    bed.load((str(tmp_path / "*.yml"),))
    assert bed.find("web").config_file is None


def test_a_bed_that_stops_says_so(bed: Bed) -> None:
    bed.check_taking()
    bed.stop_taking()
    with pytest.raises(Stopping):
        bed.check_taking()


def test_the_work_dir_counts_from_the_server_config_or_from_the_bound_file(
    bed: Bed, runs: Runs, tmp_path: Path
) -> None:
    app = bed.create(WEB + "work_dir: sub\n")
    app.trigger({})
    file = tmp_path / "apps" / "web.yml"
    file.parent.mkdir()
    file.write_text(WEB + "work_dir: sub\n")
    bed.bind("web", str(file)).trigger({})
    assert [build.work_dir for build in runs.builds] == [
        str(tmp_path / "sub"),
        str(tmp_path / "apps" / "sub"),
    ]


@pytest.mark.parametrize("error", [SystemExit("enough"), KeyboardInterrupt("enough")], ids=repr)
def test_a_validator_that_would_end_the_server_only_fails_its_delivery(
    error: BaseException, bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(_validator: Validator, _request: Request) -> Verdict:
        raise error

    monkeypatch.setattr(DummyValidator, "judge", end)
    app = bed.create("listen_point: web\nprovider: {dummy: {allow_unsigned: true}}")
    with pytest.raises(SlothError) as caught:
        app.receive(push())
    assert caught.value.status == 500


@pytest.mark.parametrize("error", [SystemExit("enough"), OSError("enough")], ids=repr)
def test_a_validator_that_can_not_be_made_refuses_its_app(
    error: BaseException, bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(DummyValidator, "__init__", end)
    with pytest.raises(ConfigInvalid, match=f"'dummy' can't be made: {type(error).__name__}: en"):
        bed.create("listen_point: web\nprovider: {dummy: {allow_unsigned: true}}")
    assert bed.apps() == []


def test_a_provider_that_can_not_be_made_leaves_no_app(
    make_bed: Callable[[], tuple[Bed, Store]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: DummyValidator, options: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(DummyValidator, "__init__", refuse)
    bed, store = make_bed()
    with pytest.raises(ConfigInvalid):
        bed.create(WEB + "provider: {dummy: {allow_unsigned: true}}\n")
    assert store.apps() == []
