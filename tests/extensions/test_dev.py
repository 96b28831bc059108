"""`sci dev`: the packages that it writes are installed, pass their own tests, and work."""

import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
from sloth_ci_extensions.dev import BadName, Kind, NameTaken, write_package

from tests.calls import Api, Reply, send, wait_until
from tests.conftest import PATIENCE, RunningServer, start_server

ROOT = Path(__file__).parent.parent.parent
SECRET = "known to both sides"
NAMES = {Kind.EXTENSION: "my_greeter", Kind.VALIDATOR: "my_host", Kind.RUNNER: "my_runner"}
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "--no-cache-dir")
PLAIN = ("--no-deps", "--no-index", "--no-build-isolation")


def python(*arguments: str | Path, at: Path, **environment: str) -> str:
    """What a fresh interpreter prints, once it ended well."""
    done = run(*arguments, at=at, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run(*arguments: str | Path, at: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=at,
        env={**os.environ, "NO_COLOR": "1", **environment},
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
    )


def sci(*arguments: str, at: Path) -> "subprocess.CompletedProcess[str]":
    return run("-m", "sloth_ci", *arguments, at=at)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, Path]:
    """The folder of a package of each kind."""
    place = tmp_path_factory.mktemp("written")
    return {kind: write_package(name, kind=kind, parent=place) for kind, name in NAMES.items()}


@pytest.fixture(scope="module")
def installed(written: dict[Kind, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that all of them are installed in, as pip does it."""
    target = tmp_path_factory.mktemp("installed")
    python(*PIP, "install", *PLAIN, "--target", target, *written.values(), at=target)
    return target


@pytest.fixture(scope="module")
def server(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that has them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(installed))
        patch.setenv("HOOK_SECRET", SECRET)
        running = start_server(tmp_path_factory.mktemp("server"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def api(server: RunningServer) -> Api:
    return Api(server.url, server.login)


def create_as_the_manual_says(api: Api, written: dict[Kind, Path], kind: Kind) -> str:
    """Create the app of the package's manual, with a name of its own and a command we have."""
    module = (written[kind] / f"sloth_ci_{NAMES[kind]}.py").read_text()
    (config,) = re.findall(r"^```yaml\n(.*?)^```", module, re.MULTILINE | re.DOTALL)
    return api.create(
        config.replace("point: web", f"point: of/{kind}").replace("make test", "echo tested")
    )


@pytest.mark.parametrize("kind", Kind)
def test_a_new_package_passes_its_own_tests(
    kind: Kind, written: dict[Kind, Path], installed: Path
) -> None:
    printed = python(
        *("-m", "pytest", "-p", "no:cacheprovider"), at=written[kind], PYTHONPATH=str(installed)
    )
    assert " passed" in printed


@pytest.mark.parametrize("kind", Kind)
def test_no_mark_of_the_sample_is_left(kind: Kind, written: dict[Kind, Path]) -> None:
    files = [file for file in written[kind].iterdir() if file.is_file()]
    assert {file.name for file in files} == {
        "README.md",
        "pyproject.toml",
        f"sloth_ci_{NAMES[kind]}.py",
        f"test_{NAMES[kind]}.py",
    }
    assert [file.name for file in files if "@" in file.read_text().replace("@hook", "")] == []


def test_the_extension_greets_in_the_log_of_its_app(api: Api, written: dict[Kind, Path]) -> None:
    listen_point = create_as_the_manual_says(api, written, Kind.EXTENSION)
    build = api.trigger(listen_point)
    assert api("build", id=build, wait=20).value["status"] == "complete"
    greeting = f"greeter: Well met, build {build}: Complete (1/1)"
    wait_until(lambda: greeting in api.logs(listen_point))


def test_the_validator_takes_signed_pushes_and_refuses_forged_ones(
    server: RunningServer, api: Api, written: dict[Kind, Path]
) -> None:
    listen_point = create_as_the_manual_says(api, written, Kind.VALIDATOR)

    def push(secret: str) -> Reply:
        body = json.dumps({"id": "1", "branch": "main", "commit": "a1b2c3"}).encode()
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        return send(
            server.url,
            method="POST",
            path=f"/{listen_point}",
            headers={
                "Content-Type": "application/json",
                "X-Sloth-Signature": f"sha256={signature}",
            },
            body=body,
        )

    forged = push("a guess")
    assert (forged.status, forged.value["error"]["code"]) == (403, "signature_refused")
    taken = push(SECRET)
    assert taken.status == 202
    (build,) = taken.value["builds"]
    assert api("build", id=build, wait=20).value["status"] == "complete"
    assert "main is at a1b2c3" in api.logs(listen_point)


def test_the_runner_tells_what_it_would_run_and_runs_nothing(
    api: Api, written: dict[Kind, Path]
) -> None:
    listen_point = create_as_the_manual_says(api, written, Kind.RUNNER)
    build = api("build", id=api.trigger(listen_point), wait=20).value
    assert build["message"] == "Complete (1/1)"
    assert "would run: make deploy" in api.logs(listen_point)


def test_the_next_commands_are_told(tmp_path: Path) -> None:
    done = sci("dev", "my_checks", "--into", "some/where", at=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    first, *rest = done.stdout.splitlines()
    assert first == "Wrote the extension some/where/sloth-ci-my-checks."
    commands = [line.split("#")[0].strip() for line in rest[1:]]
    assert commands == [
        "cd some/where/sloth-ci-my-checks",
        "pip install -e '.[tests]'",
        "pytest",
        "sci restart",
    ]


def test_a_script_is_told_the_folder(tmp_path: Path) -> None:
    done = sci("dev", "mine", "-k", "validator", "--json", at=tmp_path)

    assert json.loads(done.stdout) == {"folder": "sloth-ci-mine", "kind": "validator"}
    assert "sloth_ci.validators" in (tmp_path / "sloth-ci-mine" / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    "name", ["", "My_checks", "my-checks", "9lives", "_mine", "my__checks", "../up", "class", "é"]
)
def test_a_name_that_is_none_is_refused_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadName, match=f"^'{name}' can't name a package: "):
        write_package(name, kind=Kind.EXTENSION, parent=tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_what_is_refused_is_told_in_one_line(tmp_path: Path) -> None:
    done = sci("dev", "My-Checks", at=tmp_path)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "sci: 'My-Checks' can't name a package: small letters, digits and single _ are wanted:"
        " my_checks.\n"
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("badge", Kind.EXTENSION),
        ("ssh_exec", Kind.RUNNER),
        ("github", Kind.VALIDATOR),
        # Its module would be sloth_ci_extensions.
        ("extensions", Kind.EXTENSION),
    ],
)
def test_a_name_that_is_taken_is_refused(name: str, kind: Kind, tmp_path: Path) -> None:
    with pytest.raises(NameTaken, match=f"^There is something called '{name}' already"):
        write_package(name, kind=kind, parent=tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_validator_may_be_called_like_an_extension(tmp_path: Path) -> None:
    assert write_package("badge", kind=Kind.VALIDATOR, parent=tmp_path).is_dir()


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "sloth-ci-mine").mkdir()
    (tmp_path / "sloth-ci-mine" / "README.md").write_text("precious")

    done = sci("dev", "mine", at=tmp_path)

    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("sci: sloth-ci-mine is there already")
    assert [file.name for file in tmp_path.rglob("*.*")] == ["README.md"]
    assert (tmp_path / "sloth-ci-mine" / "README.md").read_text() == "precious"


def test_what_can_not_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    done = sci("dev", "mine", "--into", "file", at=tmp_path)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "sci: file/sloth-ci-mine: Not a directory\n"


def test_an_unknown_kind_is_wrong_usage(tmp_path: Path) -> None:
    done = sci("dev", "mine", "--kind", "spell", at=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "extension" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_samples_are_in_the_package_that_users_install(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("sloth_ci", "extensions"):
        copytree(ROOT / name, source / name, ignore=ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())

    python(*PIP, "wheel", *PLAIN, "--wheel-dir", tmp_path, source, at=tmp_path)

    (wheel,) = tmp_path.glob("sloth_ci-*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    samples = ROOT / "sloth_ci" / "samples"
    wanted = {str(file.relative_to(ROOT)) for file in samples.rglob("*") if file.is_file()}
    assert len(wanted) > 3 * len(Kind)
    assert wanted <= inside
    assert {"sloth_ci_extensions/dev.py", "sloth_ci_extensions/schedule.py"} <= inside
