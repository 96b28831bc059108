"""The server's config: every key, good and bad."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from sloth_ci.config import ServerConfig, load_server, parse_server
from sloth_ci.errors import ConfigInvalid, ConfigUnreadable
from sloth_ci.source import MAX_SIZE, read
from tests.config.refusals import read_server, refusals

ALL_KEYS = """\
host: 0.0.0.0
port: 0
api_auth:
  - {login: max, password: swordfish}
  - {login: eva, password: "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA"}
paths:
  db: data/sloth.db
  access_log: ~
  error_log: error.log
  configs: [apps/*.yml, ~/more.yml]
daemon: true
extensions: {robots: {module: robots_txt}}
url: https://ci.example.org/sloth/
hosts: ci.example.org
trusted_proxies: [127.0.0.1, 10.0.0.0/8]
stop_grace: 0.5
max_builds: 3
max_queue: 10
max_queue_total: 20
max_delivery: 5M
max_request: 64k
max_connections: 50
max_connections_per_address: 5
max_followers: 20
open_health: true
tls: {certificate: cert.pem, key: ~/key.pem}
keep: {days: 0.5, builds: 7, size: 500M}
"""


def test_every_key_is_read() -> None:
    config = read_server(ALL_KEYS)
    assert (config.host, config.port, config.daemon) == ("0.0.0.0", 0, True)
    assert [(one.login, str(one.password)) for one in config.api_auth] == [
        ("max", "swordfish"),
        ("eva", "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA"),
    ]
    assert (config.paths.db, config.paths.access_log) == ("data/sloth.db", None)
    assert (config.paths.error_log, config.paths.configs) == (
        "error.log",
        ("apps/*.yml", "~/more.yml"),
    )
    assert [(name, one.module) for name, one in config.extensions.items()] == [
        ("robots", "robots_txt")
    ]
    assert config.url == "https://ci.example.org/sloth"
    assert config.hosts == ("ci.example.org",)
    assert config.trusted_proxies == (ip_network("127.0.0.1"), ip_network("10.0.0.0/8"))
    assert (config.stop_grace, config.max_builds) == (0.5, 3)
    assert (config.max_queue, config.max_queue_total) == (10, 20)
    assert (config.max_delivery, config.max_request) == (5_000_000, 64_000)
    assert (config.max_connections, config.max_connections_per_address) == (50, 5)
    assert (config.max_followers, config.open_health) == (20, True)
    assert (config.keep.days, config.keep.builds, config.keep.size) == (0.5, 7, 500_000_000)
    assert config.tls is not None
    assert (config.tls.certificate, config.tls.key) == ("cert.pem", "~/key.pem")


def test_no_key_was_forgotten_here() -> None:
    assert set(ServerConfig.model_fields) == set(read(ALL_KEYS).data)


def test_every_key_has_a_default() -> None:
    config = read_server("{}")
    assert (config.host, config.port, config.api_auth) == ("127.0.0.1", 8080, ())
    assert config.paths.db == "sloth.db"
    assert config.max_builds >= 2


@pytest.mark.parametrize("key", ["api_auth", "auth"])
def test_one_login_needs_no_list(key: str) -> None:
    (login,) = read_server(f"{key}: {{login: max, password: swordfish}}").api_auth
    assert login.login == "max"


def test_relative_paths_count_from_the_config_file() -> None:
    config = parse_server("{}", base_dir=Path("/etc/sloth"))
    assert config.path("sloth.db") == Path("/etc/sloth/sloth.db")
    assert config.path("/var/sloth.db") == Path("/var/sloth.db")
    assert config.path("~/sloth.db") == Path("~/sloth.db").expanduser()


LOGINS = "must be a mapping with 'login' and 'password', or a list of them, not"

BAD = [
    ("host: ''", 1, 1, "'host' must be text, not an empty text"),
    ("port: 65536", 1, 1, "'port' must be a whole number from 0 to 65535, not '65536'"),
    ("port: 80.0", 1, 1, "'port' must be a whole number from 0 to 65535, not '80.0'"),
    ("port: ٣", 1, 1, "'port' must be a whole number from 0 to 65535, not '٣'"),
    ("port:", 1, 1, "'port' must be a whole number from 0 to 65535, not nothing"),
    (
        f"port: {'9' * 5000}",
        1,
        1,
        f"'port' must be a whole number from 0 to 65535, not '{'9' * 57}...'",
    ),
    ("api_auth:", 1, 1, f"'api_auth' {LOGINS} nothing"),
    ("auth: hunter2", 1, 1, f"'auth' {LOGINS} text"),
    ("auth: [hunter2]", 1, 8, "'auth.0' must be a mapping, not text"),
    ("auth: {login: max}", 1, 1, "the key 'auth.password' is missing"),
    (
        "auth: {login: '', password: x}",
        1,
        8,
        "'auth.login' must be text, not an empty text",
    ),
    (
        "auth: {login: 'a:b', password: x}",
        1,
        8,
        "'auth.login' must be a name without ':', not 'a:b'",
    ),
    (
        "auth: {login: a, password: ''}",
        1,
        18,
        "'auth.password' must be a secret, and is an empty text",
    ),
    (
        "auth: {login: a, password: b, rol: c}",
        1,
        31,
        "unknown key 'auth.rol'. Known keys: login, password",
    ),
    ("paths: {dbb: x}", 1, 9, "unknown key 'paths.dbb'. Did you mean 'db'?"),
    ("paths: {db: [x]}", 1, 9, "'paths.db' must be text, not a list"),
    ("paths: {configs: [a, [b]]}", 1, 22, "'paths.configs.1' must be text, not a list"),
    ("paths: x", 1, 1, "'paths' must be a mapping, not text"),
    ("daemon: 1", 1, 1, "'daemon' must be true or false, not '1'"),
    ("hosts: {a: b}", 1, 1, "'hosts' must be a list of texts, not a mapping"),
    ("hots: a", 1, 1, "unknown key 'hots'. Did you mean 'hosts'?"),
    (
        "trusted_proxies: [127.0.0.1, x]",
        1,
        30,
        "'trusted_proxies.1' must be an IP address or a network such as 192.0.2.0/24, not 'x'",
    ),
    (
        "keep: {days: 0}",
        1,
        8,
        "'keep.days' must be a number of days above 0, not '0'",
    ),
    ("stop_grace: 0", 1, 1, "'stop_grace' must be a number of seconds above 0, not '0'"),
    ("max_builds: 0", 1, 1, "'max_builds' must be a whole number from 1 to 10000, not '0'"),
    ("max_queue: x", 1, 1, "'max_queue' must be a whole number from 1 to 10000000, not 'x'"),
    (
        "max_queue_total: -1",
        1,
        1,
        "'max_queue_total' must be a whole number from 1 to 10000000, not '-1'",
    ),
    ("max_delivery: 0", 1, 1, "'max_delivery' must be a size above 0 such as 500k or 16M, not '0'"),
    (
        "max_connections: 0",
        1,
        1,
        "'max_connections' must be a whole number from 1 to 1000000, not '0'",
    ),
    (
        "max_connections_per_address: x",
        1,
        1,
        "'max_connections_per_address' must be a whole number from 1 to 1000000, not 'x'",
    ),
    ("tls: cert.pem", 1, 1, "'tls' must be a mapping, not text"),
    ("tls: {certificate: a}", 1, 1, "the key 'tls.key' is missing"),
    ("tls: {certificate: a, key: [b]}", 1, 23, "'tls.key' must be text, not a list"),
    ("max_request: x", 1, 1, "'max_request' must be a size above 0 such as 500k or 16M, not 'x'"),
    (
        "extensions: {robots: {}}",
        1,
        14,
        "'extensions.robots' must name its module with the key 'module'",
    ),
    ("host: !critical x", 1, 7, "the tag '!critical' is not known here (known: none)"),
]


@pytest.mark.parametrize(
    ("text", "line", "column", "sentence"), BAD, ids=[bad[0][:40] for bad in BAD]
)
def test_a_bad_value_is_told_with_its_place(
    text: str, line: int, column: int, sentence: str
) -> None:
    assert refusals(read_server, text) == [(line, column, sentence)]


def test_a_misspelt_password_is_both_missing_and_unknown() -> None:
    text = "api_auth:\n  - login: max\n    pasword: x\n"
    assert refusals(read_server, text) == [
        (2, 5, "the key 'api_auth.0.password' is missing"),
        (3, 5, "unknown key 'api_auth.0.pasword'. Did you mean 'password'?"),
    ]


def test_both_names_of_the_logins_are_refused() -> None:
    assert refusals(read_server, "api_auth: []\nauth: []") == [
        (2, 1, "'auth' means 'api_auth', which is there already")
    ]


def test_a_file_is_loaded_and_its_folder_remembered(tmp_path: Path) -> None:
    file = tmp_path / "server.yml"
    file.write_text("port: 81\n")
    config = load_server(file)
    assert (config.port, config.base_dir) == (81, tmp_path.resolve())


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigUnreadable) as caught:
        load_server(tmp_path / "none.yml")
    assert caught.value.message == f"{tmp_path}/none.yml: No such file or directory"


def test_a_folder_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigUnreadable, match="Is a directory"):
        load_server(tmp_path)


def test_a_file_of_other_bytes_is_told(tmp_path: Path) -> None:
    file = tmp_path / "server.yml"
    file.write_bytes(b"host: \xff\n")
    with pytest.raises(ConfigUnreadable, match="it is not UTF-8 text"):
        load_server(file)


def test_a_huge_file_is_not_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "server.yml"
    with file.open("wb") as stream:
        stream.truncate(10 * 2**30)
    with pytest.raises(ConfigInvalid, match=f"longer than {MAX_SIZE} characters"):
        load_server(file)


def test_a_bad_file_is_named_with_the_place(tmp_path: Path) -> None:
    file = tmp_path / "server.yml"
    file.write_text("\nport: x\n")
    with pytest.raises(ConfigInvalid) as caught:
        load_server(file)
    assert caught.value.message.startswith("server.yml, line 2, column 1: 'port' must be")
