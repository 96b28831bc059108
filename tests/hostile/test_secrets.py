"""T4: a build that prints its secrets in every way it can leaves them nowhere."""

import base64
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from tests.calls import Api
from tests.cli.conftest import Person
from tests.conftest import RunningServer, start_server

#: By where each comes from; none of them in the encoding of another.
SECRETS = {
    "SECRET_PARAM": "p@ram/Wert+1 =&%\"\\'ü€😀 end",
    "SECRET_ENV": "correct horse battery staple 42",
    "secret-file": "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----",
    "webhook-secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYob7oD",
    "SECRET_OLD": "the-secret-before-this-one",
}
ORDINARY = (
    "An ordinary line: 42 horses, 1 battery, /usr/bin/env, aGVsbG8gd29ybGQ=, %20, \\u00fc, p@ra"
)
ROUNDS = 12

#: Prints lines in pieces that end anywhere, each of them flushed.
PRINTER = """
import json, os, random, sys, time
lines, seed = json.load(open("lines.json")), int(sys.argv[1])
chance = random.Random(seed)
for round in range(int(sys.argv[2])):
    chance.shuffle(lines)
    for line in lines:
        left = line.encode("utf-8", "surrogateescape") + b"\\n"
        stream = chance.choice((1, 2))
        while left:
            size = chance.randint(1, max(2, len(left)))
            os.write(stream, left[:size])
            left = left[size:]
            if chance.random() < 0.01:
                time.sleep(0.001)
"""


@dataclass(frozen=True)
class Leaky:
    """A server whose build printed every secret it has."""

    server: RunningServer
    api: Api
    build: int


def write_forms(secret: str) -> Iterator[str]:
    """The ways in which programs write a text down."""
    for part in {secret, *secret.splitlines()}:
        raw = part.encode()
        yield part
        yield quote(part)
        yield quote(part, safe="")
        yield quote_plus(part)
        yield json.dumps(part)
        yield json.dumps(part, ensure_ascii=False)
        yield json.dumps({"deep": [part]}).replace("/", "\\/")
        for before in (b"", b"a", b"ab"):
            for after in (b"", b"z", b"zz"):
                yield base64.b64encode(before + raw + after).decode()
                yield base64.urlsafe_b64encode(before + raw + after).decode().rstrip("=")


def embed(forms: list[str]) -> Iterator[str]:
    """Lines as they stand in logs: alone, in URLs, in the middle of other text, side by side."""
    for form in forms:
        yield form
        yield f"https://me:{form}@example.com/x?token={form}#end"
        yield f'curl -H "Authorization: Bearer {form}" --data \'{{"a": "{form}"}}\''
        yield f"{'x' * 300}{form}{form}{'y' * 300}"
        yield f"\x1b[31m{form}\x1b[0m\r{form}"


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Leaky]:
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "secret-file").write_text(SECRETS["secret-file"] + "\n")
    (folder / "webhook-secret").write_text(SECRETS["webhook-secret"])
    forms = [form for secret in SECRETS.values() for form in write_forms(secret)]
    (folder / "lines.json").write_text(json.dumps([*embed(forms), ORDINARY]))
    (folder / "printer.py").write_text(PRINTER)
    (folder / "web.yml").write_text(
        "listen_point: web\n"
        "params: {shown: {env: SECRET_PARAM}, key: {file: secret-file}}\n"
        "env: {TOKEN: {env: SECRET_ENV}}\n"
        "provider: {github: {secret: [{file: webhook-secret}, {env: SECRET_OLD}]}}\n"
        "max_output: 100M\n"
        "actions:\n"
        f"  - python3 printer.py 1 {ROUNDS}\n"
        "  - echo {shown} {key}; echo $TOKEN; set -x; true {shown} $TOKEN\n"
        "  - env; env >&2; cat secret-file; base64 secret-file; false {shown}\n"
        "  - curl-that-is-not-there -u me:{shown} {key}\n"
        f"  - python3 printer.py 2 {ROUNDS} | cat -u; python3 printer.py 3 {ROUNDS} >&2\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SECRET_PARAM", "SECRET_ENV", "SECRET_OLD"):
            patch.setenv(name, SECRETS[name])
        server = start_server(folder, config="paths: {configs: [web.yml]}")
    api = Api(server.url, server.login)
    # A param that comes with the trigger is no secret, whatever is in it; so none is sent.
    build = api.trigger("web")
    api.wait_for_build("web", build)
    yield Leaky(server, api, build)
    server.stop()


def found_in(content: bytes) -> set[str]:
    """The forms of secrets, or good parts of them, that the content has."""
    wanted = {form for secret in SECRETS.values() for form in write_forms(secret)}
    # Base64 with other bytes at the ends is known by what is the same in all of them.
    wanted |= {form[4:-4] for form in wanted if re.fullmatch(r"[\w+/-]{16,}=*", form)}
    whole = base64.encodebytes(SECRETS["secret-file"].encode()).decode()
    wanted |= {line.strip("=")[:-2] for line in whole.splitlines()}
    wanted |= {json.dumps(form)[1:-1] for form in wanted}
    return {form for form in wanted if len(form) >= 8 and form.encode() in content}


def test_the_search_finds_what_is_there() -> None:
    for secret in SECRETS.values():
        for form in write_forms(secret):
            if len(form) >= 8:
                assert found_in(f"before{form}after".encode()), form


def test_every_line_was_printed_and_none_was_lost(leaky: Leaky) -> None:
    lines = len(json.loads((leaky.server.folder / "lines.json").read_text()))
    records = read_records(leaky.server.folder)

    assert len([one for one in records if "***" in one]) > 3 * ROUNDS * (lines - 1)
    assert leaky.api.history("web")[0] == "Partially complete (3/5)"


def read_records(folder: Path) -> list[str]:
    connection = sqlite3.connect(folder / "sloth.db")
    try:
        return [row[0] for row in connection.execute("SELECT message FROM records")]
    finally:
        connection.close()


def test_no_secret_is_in_the_database(leaky: Leaky) -> None:
    files = sorted(leaky.server.folder.glob("sloth.db*"))

    assert {file.name for file in files} >= {"sloth.db", "sloth.db-wal"}
    assert {form for file in files for form in found_in(file.read_bytes())} == set()


def test_no_secret_is_in_an_answer(leaky: Leaky) -> None:
    for reply in (
        leaky.api("logs", listen_point="web", level=1, per_page=10_000),
        leaky.api("history", listen_point="web", per_page=1_000),
        leaky.api("info"),
        leaky.api("build", id=leaky.build),
        leaky.api("create", config_string=(leaky.server.folder / "web.yml").read_text()),
        leaky.api("update", listen_point="web"),
        leaky.api("update", listen_point="web", config_string="listen_point: web\nparams: [x]"),
    ):
        assert found_in(reply.body) == set()


@pytest.mark.parametrize(
    "words",
    [
        ("logs", "web", "-l", "1", "-p", "10000", "-v"),
        ("logs", "web", "-l", "1", "-p", "10000", "--json"),
        ("history", "web", "-v"),
        ("info", "--json"),
        ("doctor",),
    ],
    ids=lambda words: " ".join(words[:1]),
)
def test_no_secret_is_shown(leaky: Leaky, words: tuple[str, ...]) -> None:
    person = Person(leaky.server.folder)

    done = person.sci("--url", leaky.server.url, "-c", "server.yml", *words)

    assert done.out
    assert found_in((done.out + done.err).encode()) == set()


def test_no_secret_is_in_the_servers_logs(leaky: Leaky) -> None:
    for name in ("sloth_access.log", "sloth_error.log", "screen.txt"):
        content = (leaky.server.folder / name).read_bytes()

        assert content
        assert found_in(content) == set()


@pytest.mark.parametrize(
    "line",
    [
        'for n in $(seq 5000); do printf "%05d $TOKEN" $n; done',
        'for n in $(seq 9000); do echo "$n $TOKEN $n"; done',
        "yes $(yes \"$TOKEN\" | head -n 2100 | tr -d '\\n') | head -n 9",
    ],
    ids=["a line cut inside a secret", "a flood of lines", "a flood of long lines"],
)
def test_what_is_cut_off_a_flood_cuts_no_secret_open(leaky: Leaky, line: str) -> None:
    name = leaky.api.create(
        f"listen_point: flood-{abs(hash(line))}\nmax_output: 200k\n"
        f"env: {{TOKEN: {{file: {leaky.server.folder}/webhook-secret}}}}\n"
        f"actions:\n  - {json.dumps(line)}\n"
    )

    leaky.api.wait_for_build(name, leaky.api.trigger(name))

    log = "\n".join(leaky.api.logs(name))
    assert "***" in log
    assert re.search(r"bytes (of this line cut|.* of output left out)", log)
    assert SECRETS["webhook-secret"][:8] not in log
    assert SECRETS["webhook-secret"][-8:] not in log


def test_ordinary_text_stays_as_it_is(leaky: Leaky) -> None:
    assert read_records(leaky.server.folder).count(ORDINARY) == 3 * ROUNDS


def test_no_secret_is_on_a_command_line_of_the_build(
    launch: Callable[..., RunningServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_PARAM", SECRETS["SECRET_PARAM"])
    server = launch()
    api = Api(server.url, server.login)
    api.create(
        "listen_point: web\nparams: {shown: {env: SECRET_PARAM}}\n"
        "actions:\n  - 'echo {shown} >/dev/null; cat /proc/$$/cmdline /proc/$PPID/cmdline > seen'\n"
        f"work_dir: {tmp_path}\n"
    )

    api.wait_for_build("web", api.trigger("web"))

    assert (tmp_path / "seen").read_bytes()
    assert found_in((tmp_path / "seen").read_bytes()) == set()
