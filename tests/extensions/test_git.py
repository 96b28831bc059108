"""`git`: what was pushed to a real repository lies in the workspace before the actions run."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from shutil import chown
from typing import Any

import pytest
import sloth_ci_extensions.git as module
from pydantic import ValidationError
from sloth_ci_extensions._git_names import read_address

from sloth_ci.builds import Build, BuildStatus, Halt
from sloth_ci.hooks import Unprepared
from sloth_ci.trial import Trial, build_event
from tests.shell.conftest import Bench, Recorder

from .gitd import guarded
from .manuals import options_in, read_options

PATIENCE = 45
_NOBODY = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.com",
    "GIT_COMMITTER_NAME": "Ann", "GIT_COMMITTER_EMAIL": "ann@example.com",
}  # fmt: skip


class Repository:
    """A bare repository, and a clone of it to push from."""

    def __init__(self, folder: Path) -> None:
        self.bare = folder / "origin.git"
        self.clone = folder / "clone"
        self.git("init", "-q", "--bare", "-b", "main", str(self.bare), at=folder)
        self.git("clone", "-q", str(self.bare), str(self.clone), at=folder)
        self.git("checkout", "-q", "-b", "main")
        self.first = self.push("one")

    def git(self, *arguments: str, at: Path | None = None) -> str:
        ran = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *arguments],
            cwd=at or self.clone,
            env={**os.environ, **_NOBODY},
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    def push(self, text: str, *, branch: str = "main", options: tuple[str, ...] = ()) -> str:
        """Write the text into `file`, and push it as a commit; gives its name."""
        (self.clone / "file").write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", f"say {text}")
        self.git("push", "-q", *options, "origin", f"HEAD:refs/heads/{branch}")
        return self.git("rev-parse", "HEAD")


class Place:
    """An app with `git`, and what its builds find."""

    def __init__(self, folder: Path, trial: Trial, repository: Repository) -> None:
        self.folder = folder
        self.bench = Bench(folder)
        self.trial = trial
        self.said: dict[str, Any] = {"url": str(repository.bare)}
        self.git = self.declare()
        self.number = 0

    def declare(self, **options: Any) -> module.Git:
        """The extension with these options from now on."""
        self.said |= options
        self.git = module.Git(read_options(module, self.said, self.folder), self.trial.context)
        return self.git

    def build(self, **params: str) -> Build:
        self.number += 1
        return replace(self.bench.build("true", params=params), id=self.number)

    def prepare(self, **params: str) -> Path:
        """The work_dir of a build with these params, which is still running."""
        made = self.git.prepare_build(self.build(**params), self.bench.halt, self.bench.journal)
        assert made
        return Path(made.work_dir)

    def finish(self, status: BuildStatus = BuildStatus.COMPLETE) -> None:
        self.git.build_finished(replace(build_event(status), id=self.number))

    def text(self, **params: str) -> str:
        """What `file` says in the workspace of a build with these params."""
        found = (self.prepare(**params) / "file").read_text()
        self.finish()
        return found


@pytest.fixture(autouse=True)
def nobodys_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """No config of whoever runs the tests."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    (tmp_path / "far").mkdir()
    return Repository(tmp_path / "far")


@pytest.fixture
def place(tmp_path: Path, repository: Repository) -> Iterator[Place]:
    folder = tmp_path / "work"
    folder.mkdir()
    with Trial(base_dir=tmp_path) as trial:
        made = Place(folder, trial, repository)
        yield made
        made.git.close()
        made.bench.halt.close()


class TestWhatIsCheckedOut:
    def test_the_pushed_commit_in_a_folder_that_becomes_the_work_dir(
        self, place: Place, repository: Repository
    ) -> None:
        repository.push("two")
        work_dir = place.prepare(commit=repository.first, branch="main")

        assert work_dir == place.folder / "workspaces" / "spam+eggs"
        assert (work_dir / "file").read_text() == "one"
        assert repository.git("rev-parse", "HEAD", at=work_dir) == repository.first

    def test_the_next_push_in_the_same_folder(self, place: Place, repository: Repository) -> None:
        assert place.text(commit=repository.first) == "one"
        assert place.text(commit=repository.push("two")) == "two"
        assert place.text(commit=repository.first) == "one"

    def test_a_branch_with_a_slash_and_one_with_its_start(
        self, place: Place, repository: Repository
    ) -> None:
        repository.push("slashed", branch="feature/login")
        assert place.text(branch="feature/login") == "slashed"
        repository.git("push", "-q", "origin", ":refs/heads/feature/login")
        repository.push("plain", branch="feature")
        assert place.text(branch="feature") == "plain"

    def test_a_tag_and_one_that_was_moved(self, place: Place, repository: Repository) -> None:
        repository.git("tag", "-a", "v1", "-m", "first")
        repository.git("push", "-q", "origin", "v1")
        repository.push("two")
        assert place.text(tag="v1") == "one"
        repository.git("tag", "-f", "v1")
        repository.git("push", "-q", "-f", "origin", "v1")
        assert place.text(tag="v1") == "two"

    def test_a_tag_wins_over_a_branch_of_its_name(
        self, place: Place, repository: Repository
    ) -> None:
        repository.git("push", "-q", "origin", "HEAD:refs/tags/both")
        repository.push("branch", branch="both")
        assert place.text(tag="both") == "one"
        assert place.text(branch="both") == "branch"

    def test_without_any_param_it_is_the_head(self, place: Place) -> None:
        assert place.text() == "one"
        assert place.text(commit="", branch="") == "one"

    def test_a_force_push_is_followed(self, place: Place, repository: Repository) -> None:
        repository.push("two")
        assert place.text(branch="main") == "two"
        repository.git("reset", "-q", "--hard", repository.first)
        forced = repository.push("other", options=("--force",))
        assert place.text(branch="main") == "other"
        assert place.text(commit=forced) == "other"

    def test_a_commit_that_a_force_push_left_behind_is_there_when_it_was_before(
        self, place: Place, repository: Repository
    ) -> None:
        left = repository.push("left")
        place.text(commit=left)
        repository.git("reset", "-q", "--hard", repository.first)
        repository.push("other", options=("--force",))
        assert place.text(commit=left) == "left"

    def test_the_ref_of_the_config(self, place: Place, repository: Repository) -> None:
        repository.push("released", branch="release/2")
        place.declare(ref="release/{version}")
        assert place.text(version="2", commit=repository.first) == "released"
        with pytest.raises(Unprepared, match="Missing param: 'version'"):
            place.prepare()

    def test_a_short_commit_name(self, place: Place, repository: Repository) -> None:
        repository.push("two")
        assert place.text(commit=repository.first[:10]) == "one"

    def test_a_server_that_gives_no_commits_by_name(
        self, place: Place, repository: Repository, tmp_path: Path
    ) -> None:
        # In its first protocol git gives away tips only; this server knows no other.
        ssh = tmp_path / "ssh"
        ssh.write_text('#!/bin/sh\nfor last; do :; done\nunset GIT_PROTOCOL\neval "$last"\n')
        ssh.chmod(0o755)
        place.bench.build = _with_env(place.bench, GIT_SSH_COMMAND=str(ssh), GIT_SSH_VARIANT="ssh")
        place.declare(url=f"ssh://far{repository.bare}")
        repository.push("two")

        assert place.text(commit=repository.first) == "one"
        assert any("fetching all branches" in line for line in place.bench.journal.texts)

    def test_a_commit_that_is_nowhere_fails_the_build(self, place: Place) -> None:
        with pytest.raises(Unprepared, match=f"There is no commit {'0a' * 20} in .*origin.git"):
            place.prepare(commit="0a" * 20)

    def test_a_branch_that_is_nowhere_fails_in_gits_words(self, place: Place) -> None:
        with pytest.raises(Unprepared, match=r"git can't fetch refs/heads/gone from .*: fatal: "):
            place.prepare(branch="gone")

    def test_only_as_much_history_as_wanted(self, place: Place, repository: Repository) -> None:
        place.declare(url=f"file://{repository.bare}")
        for text in ("two", "three"):
            repository.push(text)
        work_dir = place.prepare(branch="main")
        assert repository.git("rev-list", "--count", "HEAD", at=work_dir) == "1"
        place.finish()
        place.declare(depth="2")
        place.prepare(branch="main")
        assert repository.git("rev-list", "--count", "HEAD", at=work_dir) == "2"

    def test_all_history_and_tags_with_depth_0(self, place: Place, repository: Repository) -> None:
        place.declare(url=f"file://{repository.bare}")
        repository.git("tag", "v1")
        repository.git("push", "-q", "origin", "v1")
        commit = repository.push("two")
        work_dir = place.prepare(commit=commit)
        place.finish()
        place.declare(depth="0")
        place.prepare(commit=commit)
        assert repository.git("rev-list", "--count", "HEAD", at=work_dir) == "2"
        assert repository.git("describe", "--tags", at=work_dir).startswith("v1-1-")


class TestSubmodules:
    @pytest.fixture
    def inner(self, tmp_path: Path, repository: Repository) -> Repository:
        (tmp_path / "inner").mkdir()
        inner = Repository(tmp_path / "inner")
        repository.git("submodule", "add", "-q", str(inner.bare), "lib")
        repository.push("with lib")
        return inner

    def test_they_are_left_out_unless_wanted(self, place: Place, inner: Repository) -> None:
        assert not (place.prepare(branch="main") / "lib" / "file").exists()

    def test_they_are_filled_and_follow(
        self, place: Place, repository: Repository, inner: Repository
    ) -> None:
        place.declare(submodules="true")
        work_dir = place.prepare(branch="main")
        assert (work_dir / "lib" / "file").read_text() == "one"
        place.finish()

        inner.push("newer")
        repository.git("pull", "-q", "origin", "main", at=repository.clone / "lib")
        repository.push("with newer lib")
        place.prepare(branch="main")
        assert (work_dir / "lib" / "file").read_text() == "newer"

    def test_a_relative_address_counts_from_the_url(
        self, place: Place, repository: Repository, inner: Repository
    ) -> None:
        repository.git("config", "-f", ".gitmodules", "submodule.lib.url", "../../inner/origin.git")
        repository.push("relative")
        place.declare(submodules="true")
        assert (place.prepare(branch="main") / "lib" / "file").read_text() == "one"

    @pytest.mark.parametrize("url", ["ext::sh -c touch%20pwned", "-u./pwn", "http://127.0.0.1:1/x"])
    def test_a_hostile_address_fails_the_build_and_runs_nothing(
        self, place: Place, repository: Repository, inner: Repository, url: str
    ) -> None:
        repository.git("config", "-f", ".gitmodules", "submodule.lib.url", url)
        repository.push("hostile")
        place.declare(submodules="true")
        with pytest.raises(Unprepared, match=r"get the submodules|find submodules"):
            place.prepare(branch="main")
        assert not list(place.folder.rglob("pwned"))


class TestHostileNames:
    @pytest.mark.parametrize("param", ["branch", "tag"])
    @pytest.mark.parametrize(
        "name",
        [
            "--upload-pack=touch pwned", "-f", "+main:refs/heads/x", "a..b", "a b", "a\nb", "a:b",
            "a^{commit}", "@{-1}", "~1", "/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a.", "@",
            "a\\b", "a*", "a?", "[a", "a\x7f",
        ],
    )  # fmt: skip
    def test_one_that_is_no_name_never_reaches_git(
        self, place: Place, param: str, name: str
    ) -> None:
        with pytest.raises(Unprepared, match="can't be the name of a branch or tag"):
            place.prepare(**{param: name})
        assert not (place.folder / "workspaces").exists()

    @pytest.mark.parametrize("name", ["main", "-x", "main^", "0123", "g" * 40, "a" * 65])
    def test_a_commit_is_hexadecimal(self, place: Place, name: str) -> None:
        with pytest.raises(Unprepared, match="'commit' must be"):
            place.prepare(commit=name)

    @pytest.mark.parametrize("name", ["ünïcode", "a'b", "$(id)", 'x";y', "a-b", "v1.0", "a&b|c"])
    def test_strange_but_good_ones_are_only_names(
        self, place: Place, repository: Repository, name: str
    ) -> None:
        repository.push("strange", branch=name)
        assert place.text(branch=name) == "strange"

    def test_a_ref_filled_with_an_option_is_refused(self, place: Place) -> None:
        place.declare(ref="{x}")
        with pytest.raises(Unprepared, match="can't be the name"):
            place.prepare(x="--upload-pack=evil")


class TestWorkspace:
    def test_what_builds_left_is_cleaned_away(self, place: Place) -> None:
        work_dir = place.prepare()
        (work_dir / "left").mkdir()
        (work_dir / "left" / "over").touch()
        (work_dir / "file").write_text("changed")
        place.finish()
        place.prepare()
        assert not (work_dir / "left").exists()
        assert (work_dir / "file").read_text() == "one"

    def test_or_kept_when_told_so(self, place: Place) -> None:
        place.declare(clean="false")
        work_dir = place.prepare()
        (work_dir / "cache").touch()
        place.finish()
        place.prepare()
        assert (work_dir / "cache").exists()

    @pytest.mark.parametrize(
        "harm",
        [
            lambda git: (git / "HEAD").unlink(),
            lambda git: (git / "index").write_bytes(b"nonsense"),
            lambda git: [_overwrite(one) for one in (git / "objects").rglob("*") if one.is_file()],
            lambda git: (git / "shallow").write_text("nonsense"),
        ],
        ids=["no HEAD", "a broken index", "broken objects", "a broken file of git's"],
    )
    def test_a_broken_one_is_replaced(
        self, place: Place, repository: Repository, harm: Callable[[Path], Any]
    ) -> None:
        work_dir = place.prepare(branch="main")
        place.finish()
        harm(work_dir / ".git")
        assert place.text(commit=repository.first) == "one"
        assert repository.git("status", "--porcelain", at=work_dir) == ""

    @pytest.mark.parametrize("name", ["index.lock", "shallow.lock", "config.lock"])
    def test_a_lock_that_a_killed_git_left_holds_nobody_up(
        self, place: Place, repository: Repository, name: str
    ) -> None:
        work_dir = place.prepare()
        place.finish()
        (work_dir / ".git" / name).touch()
        (work_dir / "cache").touch()
        place.declare(clean="false")
        assert place.text(commit=repository.push("two")) == "two"
        assert (work_dir / "cache").exists()

    def test_what_a_build_planted_runs_nothing(self, place: Place, repository: Repository) -> None:
        work_dir = place.prepare()
        place.finish()
        pwned = place.folder / "pwned"
        hooks = work_dir / ".git" / "hooks"
        hooks.mkdir(exist_ok=True)
        for name in ("post-checkout", "reference-transaction"):
            (hooks / name).write_text(f"#!/bin/sh\ntouch {pwned}\n")
            (hooks / name).chmod(0o755)
        repository.git("config", "core.fsmonitor", f"touch {pwned}", at=work_dir)
        repository.git("config", "filter.x.smudge", f"touch {pwned}", at=work_dir)
        (work_dir / ".git" / "info").mkdir(exist_ok=True)
        (work_dir / ".git" / "info" / "attributes").write_text("* filter=x\n")

        assert place.text(commit=repository.push("two")) == "two"
        assert not pwned.exists()

    def test_an_unreachable_origin_leaves_it_as_it_is(
        self, place: Place, repository: Repository
    ) -> None:
        work_dir = place.prepare()
        (work_dir / "cache").touch()
        place.finish()
        repository.bare.rename(repository.bare.with_name("moved"))
        with pytest.raises(Unprepared, match="git can't fetch"):
            place.prepare(branch="main")
        assert (work_dir / "cache").exists()
        assert not work_dir.with_name(f"{work_dir.name}.new").exists()

    def test_a_folder_with_somebodys_files_is_left_alone(self, place: Place) -> None:
        mine = place.folder / "mine"
        mine.mkdir()
        (mine / "thesis").touch()
        place.declare(workspace="mine")
        with pytest.raises(Unprepared, match="was not made by Sloth CI"):
            place.prepare()
        assert (mine / "thesis").exists()

    def test_it_may_be_anywhere(self, place: Place, tmp_path: Path) -> None:
        place.declare(workspace=str(tmp_path / "some" / "where"))
        assert place.prepare() == tmp_path / "some" / "where"

    def test_a_link_in_the_place_of_its_lock_is_not_followed(
        self, place: Place, tmp_path: Path
    ) -> None:
        (place.folder / "workspaces").mkdir()
        (place.folder / "workspaces" / "spam+eggs.lock").symlink_to(tmp_path / "precious")
        with pytest.raises(Unprepared, match="lock of the workspace"):
            place.prepare()
        assert not (tmp_path / "precious").exists()

    @pytest.mark.parametrize(
        ("keep", "status", "kept"),
        [
            ("always", BuildStatus.COMPLETE, True),
            ("on_failure", BuildStatus.COMPLETE, False),
            ("on_failure", BuildStatus.PARTIAL, True),
            ("on_failure", BuildStatus.CANCELLED, True),
            ("never", BuildStatus.FAILED, False),
        ],
    )
    def test_it_is_kept_as_the_config_says(
        self, place: Place, keep: str, status: BuildStatus, kept: bool
    ) -> None:
        place.declare(keep=keep)
        work_dir = place.prepare()
        place.finish(status)
        assert work_dir.exists() is kept

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
    def test_it_belongs_to_the_apps_user(self, place: Place, repository: Repository) -> None:
        for folder in place.folder.parents[:4]:
            folder.chmod(folder.stat().st_mode | 0o055)
        for one in (place.folder, repository.bare, *repository.bare.rglob("*")):
            chown(one, "nobody")
        build = replace(place.build(), user="nobody")
        made = place.git.prepare_build(build, place.bench.halt, place.bench.journal)
        assert made
        assert (Path(made.work_dir) / "file").owner() == "nobody"


class TestOneBuildAtATime:
    def test_another_app_waits_until_the_build_has_finished(self, place: Place) -> None:
        place.declare(workspace="shared")
        place.prepare()
        other = module.Git(place.git.options, place.trial.context)
        got: list[Build | None] = []
        build = replace(place.bench.build("true"), id=99, listen_point="other")
        waiting = threading.Thread(
            target=lambda: got.append(other.prepare_build(build, place.bench.halt, Recorder()))
        )
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        place.finish()
        waiting.join(PATIENCE)
        assert got[0]
        other.close()

    def test_who_waits_in_vain_is_told_for_whom(self, place: Place) -> None:
        first = place.declare(workspace="shared")
        place.prepare()
        place.declare(timeout="1")
        with pytest.raises(Unprepared, match="is used by build 1 of spam/eggs"):
            place.prepare()
        first.close()

    def test_cancelling_ends_the_wait(self, place: Place) -> None:
        place.declare(workspace="shared")
        place.prepare()
        other = module.Git(place.git.options, place.trial.context)
        halt = Halt()
        threading.Timer(0.2, lambda: halt.order(BuildStatus.CANCELLED)).start()
        build = replace(place.bench.build("true"), id=99)
        assert other.prepare_build(build, halt, Recorder()) == build
        halt.close()

    def test_a_build_whose_end_nobody_told_does_not_block_the_next(self, place: Place) -> None:
        place.prepare()
        assert place.prepare()


class TestSurroundings:
    def test_progress_is_in_the_builds_log(self, place: Place, repository: Repository) -> None:
        place.prepare(commit=repository.first)
        texts = place.bench.journal.texts
        assert texts[0] == f"Fetching {repository.first} from {repository.bare}"
        assert any(line.startswith("HEAD is now at ") and "say one" in line for line in texts)
        assert not any("\r" in line for line in texts)

    def test_variables_of_the_app_do_not_mislead_it(
        self, place: Place, repository: Repository
    ) -> None:
        place.bench.build = _with_env(
            place.bench, GIT_DIR=str(repository.bare), GIT_WORK_TREE="/", GIT_INDEX_FILE="/x"
        )
        assert place.text() == "one"

    def test_a_repository_around_the_workspace_is_not_taken_for_it(
        self, place: Place, repository: Repository
    ) -> None:
        repository.git("init", "-q", str(place.folder))
        work_dir = place.prepare()
        place.finish()
        (work_dir / ".git" / "HEAD").unlink()
        place.prepare()
        assert repository.git("rev-parse", "--show-toplevel", at=work_dir) == str(work_dir)

    def test_a_login_that_is_wanted_fails_at_once(self, place: Place) -> None:
        with guarded() as (url, asked):
            place.declare(url=url)
            with pytest.raises(Unprepared, match="git can't fetch"):
                place.prepare(branch="main")
        assert asked[-1] is None

    def test_a_password_goes_to_its_own_site_and_into_no_file(self, place: Place) -> None:
        with guarded() as (url, asked):
            place.declare(url=url, login="me", password="hush-hush", protocols=["http"])
            with pytest.raises(Unprepared):
                place.prepare(branch="main")
        assert "me:hush-hush" in asked
        texts = [
            one.read_text(errors="replace") for one in place.folder.rglob("*") if one.is_file()
        ]
        assert not any("hush-hush" in text for text in texts)
        assert not any("hush-hush" in line for line in place.bench.journal.texts)

    def test_cancelling_ends_git(self, place: Place, tmp_path: Path) -> None:
        place.declare(url="ssh://example.com/x.git")
        place.bench.build = _with_env(
            place.bench,
            GIT_SSH_COMMAND="sh -c 'echo ready >&2; sleep 1000' ssh",
            GIT_SSH_VARIANT="ssh",
        )
        place.bench.journal = Recorder(
            lambda line: place.bench.halt.order(BuildStatus.CANCELLED) if line == "ready" else None
        )
        build = place.build()
        assert place.git.prepare_build(build, place.bench.halt, place.bench.journal) == build

    def test_its_own_time_is_limited(self, place: Place) -> None:
        place.declare(url="ssh://example.com/x.git", timeout="1")
        place.bench.build = _with_env(place.bench, GIT_SSH_COMMAND="sh -c 'sleep 1000' ssh")
        with pytest.raises(Unprepared, match="did not finish within 1 s"):
            place.prepare()

    def test_a_work_dir_that_is_not_there_is_named(self, place: Place) -> None:
        place.folder.rmdir()
        with pytest.raises(Unprepared, match=f"work_dir '{place.folder}' does not exist"):
            place.prepare()


class TestOptions:
    @pytest.mark.parametrize(
        ("url", "protocol"),
        [
            ("https://example.com/team/web.git", "https"),
            ("ssh://git@example.com:2222/web.git", "ssh"),
            ("git@example.com:team/web.git", "ssh"),
            ("example.com:web", "ssh"),
            ("/srv/git/web.git", "file"),
            ("../web.git", "file"),
            ("file:///srv/git/web.git", "file"),
            ("http://example.com/x", "http"),
        ],
    )
    def test_addresses_are_read(self, url: str, protocol: str) -> None:
        assert read_address(url).protocol == protocol

    @pytest.mark.parametrize(
        "url",
        [
            "ext::sh -c id", "fd::7", "-x", "--upload-pack=x", "ftp://example.com/x", "a\nb", "",
            "ssh://-oProxyCommand=id/x", "-oProxyCommand=id:x", "git@-oProxyCommand=id:x",
            "transport::https://x/y", "://x", "a\0b",
        ],
    )  # fmt: skip
    def test_addresses_that_could_run_something_are_refused(self, url: str) -> None:
        with pytest.raises(ValueError):
            read_address(url)

    @pytest.mark.parametrize(
        ("said", "sentence"),
        [
            ({}, "url"),
            ({"url": "/x", "depth": "-1"}, "a number of commits"),
            ({"url": "/x", "depth": "many"}, "a number of commits"),
            ({"url": "/x", "keep": "sometimes"}, "always, on_failure, never"),
            ({"url": "/x", "password": "x"}, "only an https address"),
            ({"url": "https://x/y", "key": "x"}, "only an ssh address"),
            ({"url": "/x", "protocols": ["ext"]}, "the protocol 'ext'"),
        ],
        ids=str,
    )
    def test_bad_ones_are_refused(
        self, tmp_path: Path, said: dict[str, Any], sentence: str
    ) -> None:
        with pytest.raises(ValidationError, match=sentence):
            read_options(module, said, tmp_path)

    def test_the_login_in_an_address_is_not_shown(self) -> None:
        address = read_address("https://me:hush@example.com:8443/x.git")
        assert address.shown == "https://***@example.com:8443/x.git"
        assert address.plain == "https://example.com:8443/x.git"
        assert address.site == "https://example.com:8443"

    def test_a_relative_address_counts_from_the_config(self, place: Place, tmp_path: Path) -> None:
        place.declare(url="far/origin.git")
        assert place.text() == "one"

    def test_the_manual_loads(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SLOTH_GITHUB_SECRET", "hush-hush")
        first, full = options_in(module, base_dir=tmp_path)
        assert (first.depth, first.keep, first.clean) == (1, "always", True)
        assert (full.depth, full.submodules, full.keep) == (50, True, "on_failure")
        assert full.url.protocol == "ssh"


def _with_env(bench: Bench, **env: str) -> Callable[..., Build]:
    make = type(bench).build

    def build(*texts: str, **options: Any) -> Build:
        return make(bench, *texts, **{"env": env, **options})

    return build


def _overwrite(file: Path) -> None:
    file.chmod(0o644)
    file.write_bytes(b"nonsense")
