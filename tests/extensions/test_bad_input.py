"""What is wrong about an extension refuses its app, or the server's start, and says what to do."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import metadata
from pathlib import Path

import pytest

from sloth_ci.extension.finding import find_extension, known_modules
from tests.calls import Api
from tests.conftest import LOGIN, PATIENCE, RunningServer, start_server


@dataclass(frozen=True)
class Options:
    """Options of a module as a config says them: right, misspelt, and of a bad value."""

    good: str = ""
    misspelt: str = ""
    #: What is to be told about it.
    nearest: str = ""
    bad: str = ""
    wanted: str = ""


OPTIONS = {
    "badge": Options(
        misspelt="lable: x",
        nearest="unknown key 'extensions.x.lable'. Did you mean 'label'?",
        bad="style: round",
        wanted="'extensions.x.style' must be one of flat, flat-square, for-the-badge, not 'round'",
    ),
    "docker_exec": Options(
        good="image: alpine",
        misspelt="image: alpine, netwrok: none",
        nearest="unknown key 'extensions.x.netwrok'. Did you mean 'network'?",
        bad="image: alpine, memory: lots",
        wanted="'extensions.x.memory' must be a size above 0 such as 500k or 16M, not 'lots'",
    ),
    "file_logs": Options(
        misspelt="levle: INFO",
        nearest="unknown key 'extensions.x.levle'. Did you mean 'level'?",
        bad="level: LOUD",
        wanted="'extensions.x.level' must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL",
    ),
    "git": Options(
        good="url: /srv/web.git",
        misspelt="url: /srv/web.git, dept: 1",
        nearest="unknown key 'extensions.x.dept'. Did you mean 'depth'?",
        bad="url: /srv/web.git, depth: -1",
        wanted="'extensions.x.depth' must be a number of commits, or 0 for all of them, not '-1'",
    ),
    "metrics": Options(
        misspelt="opne: true",
        nearest="unknown key 'extensions.x.opne'. Did you mean 'open'?",
        bad="open: perhaps",
        wanted="'extensions.x.open' must be true or false, not 'perhaps'",
    ),
    "notifications": Options(
        good="services: ['json://192.0.2.1']",
        misspelt="sevices: ['json://192.0.2.1']",
        nearest="unknown key 'extensions.x.sevices'. Did you mean 'services'?",
        bad="services: ['json://192.0.2.1'], on: [exploded]",
        wanted="'extensions.x.on' has the unknown word 'exploded'. Known: started, complete,",
    ),
    "robots_txt": Options(
        misspelt="page: x",
        nearest="unknown key 'extensions.x.page'. Known keys: none",
    ),
    "schedule": Options(
        good="cron: '@daily'",
        misspelt="cron: '@daily', zoen: UTC",
        nearest="unknown key 'extensions.x.zoen'. Did you mean 'zone'?",
        bad="cron: '61 * * * *'",
        wanted="'extensions.x.cron' has a line that is no cron line: '61 * * * *' (bad minute);",
    ),
    "ssh_exec": Options(
        good="hosts: web1, agent: true",
        misspelt="host: web1, agent: true",
        nearest="unknown key 'extensions.x.host'. Did you mean 'hosts'?",
        bad="hosts: 'web1:99999', agent: true",
        wanted="'extensions.x.hosts' has a host that can't be read: 'web1:99999'; write it as",
    ),
    "status_report": Options(
        good="service: github, token: t0ken",
        misspelt="servise: github, token: t0ken",
        nearest="unknown key 'extensions.x.servise'. Did you mean 'service'?",
        bad="service: gitbub, token: t0ken",
        wanted="'extensions.x.service' must be one of github, gitlab, gitea, forgejo, bitbucket,",
    ),
    "webhooks": Options(
        good="url: 'https://board.example', secret: some-text",
        misspelt="urll: 'https://board.example', secret: some-text",
        nearest="unknown key 'extensions.x.urll'. Did you mean 'url'?",
        bad="url: 'ftp://board.example', secret: some-text",
        wanted="'extensions.x' has a 'url' that can't be used: it must be a URL such as https://",
    ),
    "wrap_exec": Options(
        good="command: env",
        misspelt="comand: env",
        nearest="unknown key 'extensions.x.comand'. Did you mean 'command'?",
        bad="command: env, takes: files",
        wanted="'extensions.x.takes' must be one of arguments, text, not 'files'",
    ),
}
OF_APPS = [name for name in known_modules() if find_extension(name).for_apps]
OF_SERVER = [name for name in known_modules() if find_extension(name).for_server]
#: Libraries, and what tells how to get them.
EXTRAS = {
    "cronsim": ("schedule", OPTIONS["schedule"].good, "'sloth-ci[schedule]'"),
    "docker": ("docker_exec", OPTIONS["docker_exec"].good, "'sloth-ci[docker]'"),
    "paramiko": ("ssh_exec", OPTIONS["ssh_exec"].good, "'sloth-ci[ssh]'"),
    "apprise": ("notifications", OPTIONS["notifications"].good, "'sloth-ci[notify]'"),
}
#: Makes every interpreter that finds it do without those libraries.
WITHOUT = f"""\
import sys


class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name in {set(EXTRAS)}:
            raise ModuleNotFoundError(f"No module named '{{name}}'", name=name)


sys.meta_path.insert(0, Nothing())
"""


def declare(module: str, options: str) -> str:
    return f"extensions:\n  x: {{module: {', '.join(filter(None, (module, options)))}}}\n"


def app(module: str, options: str, *, name: str = "web") -> str:
    return f"listen_point: {name}\n{declare(module, options)}"


def refusal(api: Api, config: str, *, name: str = "web") -> str:
    """Why an app is refused; nothing of it is left."""
    reply = api("create", config_string=config)
    assert (reply.status, reply.value["error"]["code"]) == (500, "config_invalid"), reply.body
    assert api("info", listen_points=name).status == 404
    assert name not in api("list").value
    return str(reply.value["error"]["message"])


def start(folder: Path, config: str) -> tuple[int, str]:
    """The exit code of a server that refuses to start, and what it says."""
    (folder / "server.yml").write_text(f"port: 0\n{config}")
    done = subprocess.run(
        [sys.executable, "-m", "sloth_ci", "start"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.fixture
def api(shared_server: RunningServer) -> Api:
    return Api(shared_server.url, LOGIN)


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server where no extra is installed, with an app of each that wants one beside another."""
    folder = tmp_path_factory.mktemp("poor")
    (folder / "sitecustomize.py").write_text(WITHOUT)
    (folder / "apps").mkdir()
    (folder / "apps" / "plain.yml").write_text("listen_point: plain")
    for module, options, _line in EXTRAS.values():
        (folder / "apps" / f"{module}.yml").write_text(app(module, options, name=module))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        paths = "paths: {configs: [apps/*.yml], error_log: errors.log}"
        server = start_server(folder, config=paths)
    yield server
    server.stop()


def test_every_module_is_here() -> None:
    assert sorted(OPTIONS) == known_modules()


@pytest.mark.parametrize("module", OF_APPS)
def test_a_misspelt_option_refuses_the_app_and_names_the_nearest(api: Api, module: str) -> None:
    options = OPTIONS[module]

    told = refusal(api, app(module, options.misspelt, name="misspelt"), name="misspelt")

    assert f"{options.nearest}" in told
    assert told.startswith("line 3, column ")


@pytest.mark.parametrize("module", [name for name in OF_APPS if OPTIONS[name].bad])
def test_a_bad_value_refuses_the_app_and_says_what_is_wanted(api: Api, module: str) -> None:
    options = OPTIONS[module]

    told = refusal(api, app(module, options.bad, name="bad"), name="bad")

    assert f": {options.wanted}" in told
    assert told.startswith("line 3, column ")


@pytest.mark.parametrize("module", OF_APPS)
def test_the_app_can_be_made_once_that_is_mended(api: Api, module: str) -> None:
    name = f"mended/{module}"
    refusal(api, app(module, OPTIONS[module].misspelt, name=name), name=name)

    assert api.create(app(module, OPTIONS[module].good, name=name)) == name
    assert api("remove", listen_point=name).status == 204


def test_an_update_that_is_refused_changes_nothing(api: Api) -> None:
    good = app("schedule", "cron: '@daily'", name="updated")
    api.create(good)
    before = api("info", listen_points="updated").value

    for module in OF_APPS:
        config = app(module, OPTIONS[module].misspelt, name="updated")
        reply = api("update", listen_point="updated", config_string=config)
        assert reply.value["error"]["code"] == "config_invalid"

    assert api("info", listen_points="updated").value == before


@pytest.mark.parametrize(
    ("module", "nearest"),
    [("bagde", "badge"), ("schedul", "schedule"), ("docker-exec", "docker_exec")],
)
def test_an_unknown_module_refuses_the_app_and_names_the_nearest(
    api: Api, module: str, nearest: str
) -> None:
    told = refusal(api, app(module, "", name="unknown"), name="unknown")

    assert told.startswith(
        f"line 3, column 7: there is no extension '{module}'. Did you mean '{nearest}'?"
    )


def test_one_that_is_like_none_names_all(api: Api) -> None:
    told = refusal(api, app("teleport", "", name="unknown"), name="unknown")

    assert told.endswith(f" Known: {', '.join(known_modules())}")


@pytest.mark.parametrize(
    ("extensions", "sentence"),
    [
        ("[badge]", "line 2, column 1: 'extensions' must be a mapping, not a list"),
        ("{x: badge}", "'extensions.x' must be a mapping with the key 'module', not text"),
        ("{x: }", "'extensions.x' must be a mapping with the key 'module', not nothing"),
        ("{x: {modul: badge}}", "'extensions.x' must name its module with the key 'module'"),
        ("{x: {module: [badge]}}", "'extensions.x' must name its module with the key 'module'"),
        (
            "{x: {module: webhooks, url: 'https://board.example', secret: {env: NOT_SET_HERE}}}",
            "'extensions.x.secret' wants the environment variable NOT_SET_HERE, which is not set",
        ),
    ],
)
def test_what_is_no_extension_is_refused(api: Api, extensions: str, sentence: str) -> None:
    told = refusal(api, f"listen_point: none\nextensions: {extensions}", name="none")

    assert told.startswith("line 2, column ")
    assert told.endswith(sentence)


@pytest.mark.parametrize("module", sorted(set(OPTIONS) - set(OF_APPS)))
def test_one_of_the_server_refuses_the_app(api: Api, module: str) -> None:
    told = refusal(api, app(module, OPTIONS[module].good, name="of-server"), name="of-server")

    assert told == (
        f"line 3, column 7: the extension '{module}' is one of the server: declare it in its config"
    )


@pytest.mark.parametrize("module", OF_SERVER)
def test_a_misspelt_option_of_the_servers_config_is_one_line_and_no_start(
    module: str, tmp_path: Path
) -> None:
    options = OPTIONS[module]

    code, told = start(tmp_path, declare(module, options.misspelt))

    assert (code, told.count("\n")) == (1, 1)
    assert "server.yml, line 3, column " in told
    assert options.nearest in told


@pytest.mark.parametrize("module", [name for name in OF_SERVER if OPTIONS[name].bad])
def test_a_bad_value_in_the_servers_config_is_one_line_and_no_start(
    module: str, tmp_path: Path
) -> None:
    options = OPTIONS[module]

    code, told = start(tmp_path, declare(module, options.bad))

    assert (code, told.count("\n")) == (1, 1)
    assert "server.yml, line 3, column " in told
    assert f": {options.wanted}" in told


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        ("metrisc", "there is no extension 'metrisc'. Did you mean 'metrics'?"),
        ("git", "the extension 'git' is one of apps: declare it in their configs"),
    ],
)
def test_an_unknown_module_in_the_servers_config_is_one_line_and_no_start(
    module: str, sentence: str, tmp_path: Path
) -> None:
    code, told = start(tmp_path, declare(module, ""))

    assert (code, told.count("\n")) == (1, 1)
    assert f"server.yml, line 3, column 7: {sentence}" in told


@pytest.mark.parametrize("library", EXTRAS)
def test_a_missing_extra_refuses_the_app_with_the_line_to_run(
    poor: RunningServer, library: str
) -> None:
    module, options, extra = EXTRAS[library]

    told = refusal(Api(poor.url, LOGIN), app(module, options))

    assert told.startswith("line 3, column ")
    assert f" needs {library}" in told
    assert told.endswith(f", which is not installed: pip install {extra}")


def test_a_missing_extra_leaves_out_its_app_when_the_server_starts_and_no_other(
    poor: RunningServer,
) -> None:
    assert Api(poor.url, LOGIN)("list").value == ["plain"]
    log = (poor.folder / "errors.log").read_text()
    for module, _options, extra in EXTRAS.values():
        (line,) = [one for one in log.splitlines() if f"/apps/{module}.yml is refused: " in one]
        assert ": line 3, column " in line
        assert line.endswith(f"pip install {extra}")


def test_what_needs_no_extra_is_there_without_them(poor: RunningServer) -> None:
    api = Api(poor.url, LOGIN)
    needy = {module for module, _options, _extra in EXTRAS.values()}
    mail = "email: {host: 192.0.2.1, security: none, sender: a@example.org, to: [b@example.org]}"
    good = {module: OPTIONS[module].good for module in set(OF_APPS) - needy}
    for module, options in {**good, "notifications": mail}.items():
        api.create(app(module, options, name="without"))
        assert api("remove", listen_point="without").status == 204


@pytest.mark.parametrize("extra", [line for _module, _options, line in EXTRAS.values()])
def test_the_line_to_run_names_an_extra_that_there_is(extra: str) -> None:
    known = metadata("sloth-ci").get_all("Provides-Extra") or []
    assert extra in [f"'sloth-ci[{name}]'" for name in known]
