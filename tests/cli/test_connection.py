"""Which server `sci` asks and with whose login: options, environment, config, prompt."""

import socket
from collections.abc import Callable

import pytest

from tests.calls import Api
from tests.cli.conftest import Person
from tests.conftest import RunningServer

WRONG_LOGIN = (
    1,
    "",
    "sci: the server takes another login than was sent: set SLOTH_LOGIN and SLOTH_PASSWORD, or"
    " name its config with -c FILE\n",
)


@pytest.fixture
def login(shared_server: RunningServer) -> dict[str, str]:
    name, password = shared_server.login
    return {"SLOTH_LOGIN": name, "SLOTH_PASSWORD": password}


def test_a_remote_server_needs_no_config(person: Person, api: Api, login: dict[str, str]) -> None:
    assert person.sci("--url", api.url, "status", env=login).code == 0
    assert person.sci("status", env={**login, "SLOTH_URL": api.url}).code == 0


def test_the_login_may_stand_in_the_url(person: Person, api: Api) -> None:
    assert api.login
    url = api.url.replace("://", f"://{api.login[0]}:{api.login[1]}@")

    done = person.sci("--url", url, "status")

    assert done.code == 0
    assert api.login[1] not in done.out


@pytest.mark.parametrize("name", ["server.yml", "sloth.yml"])
def test_the_config_of_the_folder_is_found(user: Person, name: str) -> None:
    (user.folder / "server.yml").rename(user.folder / name)

    assert user.sci("status").code == 0


def test_server_yml_comes_before_sloth_yml(user: Person) -> None:
    (user.folder / "sloth.yml").write_text("port: 1\n")

    assert user.sci("status").code == 0


@pytest.mark.parametrize("auth", ["api_auth", "auth"])
@pytest.mark.parametrize(
    "password",
    ["{env: CI_PASSWORD}", "{file: secrets/password}"],
    ids=["the environment", "a file beside the config"],
)
def test_the_password_may_come_from(person: Person, api: Api, password: str, auth: str) -> None:
    assert api.login
    folder = person.folder / "conf"
    (folder / "secrets").mkdir(parents=True)
    (folder / "secrets" / "password").write_text(api.login[1] + "\n")
    (folder / "ci.yml").write_text(
        f"port: {api.url.rpartition(':')[2]}\nhost: 0.0.0.0\n"
        f"{auth}:\n  - {{login: {api.login[0]}, password: {password}}}\n"
        "  - {login: second, password: other}\n"
    )

    assert person.sci("-c", "conf/ci.yml", "status", env={"CI_PASSWORD": api.login[1]}).code == 0


def test_the_environment_comes_before_the_config(user: Person) -> None:
    assert user.sci("list", env={"SLOTH_PASSWORD": "wrong"}).said == WRONG_LOGIN


@pytest.mark.parametrize("command", ["list", "status", "stop", "restart", "version"])
def test_a_wrong_password_is_one_line(user: Person, command: str) -> None:
    config = user.folder / "server.yml"
    config.write_text(config.read_text().replace("password: ", "password: not-"))

    done = user.sci(command)

    assert (done.code, done.err) == (WRONG_LOGIN[0], WRONG_LOGIN[2])


def test_the_login_of_the_folders_config_goes_to_no_other_server(
    person: Person, shared_server: RunningServer
) -> None:
    name, password = shared_server.login
    (person.folder / "server.yml").write_text(
        f"port: 1\napi_auth: {{login: {name}, password: {password}}}\n"
    )

    assert person.sci("--url", shared_server.url, "list").said == WRONG_LOGIN
    # Whoever names the config means it.
    assert person.sci("--url", shared_server.url, "-c", "server.yml", "list").code == 0


def test_the_folders_own_server_may_be_named_by_url(user: Person, api: Api) -> None:
    assert user.sci("--url", api.url.replace("127.0.0.1", "localhost"), "status").code == 0


def test_a_server_that_wants_its_name_hears_it(
    person: Person, launch: Callable[..., RunningServer]
) -> None:
    server = launch(config="hosts: [ci.example.com]")
    config = server.folder / "server.yml"
    config.write_text(
        config.read_text().replace("port: 0", f"port: {server.url.rpartition(':')[2]}")
    )

    assert person.sci("-c", str(config), "status").code == 0


def test_nobody_there_is_3(person: Person) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]

    for words in (("list",), ("create", "server.yml"), ("logs", "web"), ("stop",), ("status",)):
        (person.folder / "server.yml").write_text(f"port: {port}\n")
        assert person.sci(*words).said == (
            3,
            "",
            f"sci: No Sloth CI server answers at http://127.0.0.1:{port}: connection refused.\n",
        )


def test_a_broken_config_is_named_with_its_line(person: Person) -> None:
    (person.folder / "server.yml").write_text("port: 8080\nhost: [\n")

    done = person.sci("list")

    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("sci: server.yml: line 3, column 1: it is not valid YAML: ")
    assert done.err.count("\n") == 1


def test_a_person_is_asked_for_what_is_not_known(person: Person, api: Api) -> None:
    assert api.login

    done = person.type_in_terminal(
        "--url",
        api.url,
        "version",
        answers={"Login for": api.login[0], "Password of": api.login[1]},
    )

    assert done.code == 0
    assert f"at {api.url}" in done.out
    assert api.login[1] not in done.out


def test_a_person_is_asked_for_the_password_behind_a_hash(user: Person, api: Api) -> None:
    assert api.login
    config = user.folder / "server.yml"
    config.write_text(config.read_text().replace(api.login[1], "$argon2id$v=19$hash"))

    done = user.type_in_terminal("status", answers={"Password of": api.login[1]})

    assert done.code == 0
    assert "Login for" not in done.out


def test_a_person_is_not_asked_by_a_server_without_login(
    person: Person, launch: Callable[..., RunningServer]
) -> None:
    server = launch(api_auth=None)

    done = person.type_in_terminal("--url", server.url, "list")

    assert (done.code, done.out) == (0, "")
