"""T18: what builds print and payloads carry reaches no terminal and no log of the server raw."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.calls import Api, Reply, send, wait_until
from tests.cli.conftest import Person
from tests.conftest import RunningServer, start_server
from tests.hostile.clients import tell

#: Texts that would do something to a terminal, or pass for lines of somebody else.
CORPUS = {
    "a clipboard, by OSC 52": "\x1b]52;c;ZXZpbA==\x07",
    "a title": "\x1b]0;owned\x1b\\",
    "a cleared screen": "\x1b[2J\x1b[H",
    "hidden text": "\x1b[8mhidden\x1b[28m",
    "a report that comes back as typed": "\x1b[6n\x1b[c\x05",
    "a line overwritten": "all bad\rall good",
    "backspaces": "bad\b\b\bgood",
    "the next line, NEL": "one\x852026-01-01 00:00:00  Complete (9/9)",
    "8-bit escapes": "\x9b2J\x9d0;owned\x9c\x90q\x9c",
    "a fake line": "one\n2026-01-01 00:00:00,000 ERROR the password is needed again",
    "a fake line, as Windows writes it": "one\r\n2026-01-01 00:00:00,000 INFO Stopped",
    "line and page separators": "one\u2028two\u2029three\x0b\x0cfour",
    "bidi overrides": "\u202etxt.exe\u202c \u2066\u2067\u2068x\u2069 \u200f\u061c",
    "nothing to see": "a\u200bb\u200c\u200d\u2060\ufeff\u00ad\u180ec",
    "tags, which no one sees": "\U000e0041\U000e0042\U000e007f",
    "characters of nobody": "\ue000\uf8ff\U0010ffff\ufdd0",
    "a bell, NUL's neighbours, DEL": "\x07\x01\x0e\x0f\x1a\x7f",
    "a hyperlink": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "a program for the function keys": "\x1bP1;1|17/rm -rf ~\x1b\\",
    "another character set": "\x1b(0\x0e\x1b%G",
}
HOSTILE = "\n".join(CORPUS.values())
#: Bytes that are no UTF-8, the half of a character at the end too.
BYTES = HOSTILE.encode() + b"\x9b31m \xff\xfe \xc2\x9b \xe2\x80\n\0nul\n" + b"\xf0\x9f"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    server = start_server(tmp_path_factory.mktemp("terminal"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def web(server: RunningServer) -> Api:
    """An API whose app `web` was given the whole corpus in every way there is."""
    api = Api(server.url, server.login)
    work = server.folder / "work"
    work.mkdir()
    (work / "printed").write_bytes(BYTES)
    api.create(
        f"listen_point: web\nwork_dir: {work}\nprovider: {{github: {{allow_unsigned: true}}}}\n"
        "actions:\n  - cat printed; cat printed >&2\n  - echo {message} {author}\n"
        '  - printf "%s" {message} ; false\n'
    )
    api.wait_for_build("web", api.trigger("web", message=HOSTILE, author=HOSTILE))
    for number, text in enumerate(CORPUS.values()):
        reply = push(api, "web", text, f"delivery-{number}")
        if reply.status == 202:
            api.wait_for_build("web", reply.value["builds"][0])
    for branch in CORPUS.values():
        push(api, "web", "message", "", branch=branch)
    return api


def push(api: Api, name: str, text: str, delivery: str, *, branch: str = "main") -> Reply:
    person = {"name": text, "email": text, "username": text}
    commit = {"id": "a" * 40, "message": text, "author": person, "url": f"http://x/{text}"}
    payload = {
        "ref": f"refs/heads/{branch}",
        "before": "b" * 40,
        "after": "a" * 40,
        "repository": {"name": "repo", "full_name": "me/repo", "owner": {"login": "me"}},
        "pusher": person,
        "head_commit": commit,
        "commits": [commit],
    }
    return send(
        api.url,
        method="POST",
        path=f"/{name}",
        headers={
            "Content-Type": "application/json",
            "X-GitHub-Event": "push",
            "X-GitHub-Delivery": delivery,
        },
        body=json.dumps(payload).encode(),
    )


@pytest.fixture
def user(tmp_path: Path, server: RunningServer) -> Person:
    login, password = server.login
    port = server.url.rpartition(":")[2]
    (tmp_path / "server.yml").write_text(
        f"port: {port}\napi_auth: {{login: {login}, password: {password}}}\n"
    )
    return Person(tmp_path, {"NO_COLOR": "1"})


def unprintable(text: str) -> set[str]:
    """What of the text is no character that can be printed, line ends aside."""
    return {letter for letter in text if not letter.isprintable() and letter != "\n"}


@pytest.mark.parametrize(
    "words",
    [
        ("logs", "web", "-l", "1", "-p", "1000"),
        ("logs", "web", "-l", "1", "-p", "1000", "-v"),
        ("logs", "web", "-l", "1", "-p", "1000", "--json"),
        ("history", "web", "-p", "1000", "-v"),
        ("info",),
        ("list",),
        ("trigger", "web", "-p", f"message={HOSTILE}", f"author={HOSTILE}", "-w"),
        ("trigger", "web", "-p", f"message={HOSTILE}", "author=me", "-w", "--json"),
        ("logs", f"{HOSTILE}"),
        ("create", f"{HOSTILE}"),
        ("bind", "web", f"/no/{HOSTILE}"),
        ("remove", "web" + HOSTILE, "--json"),
        ("reload", HOSTILE),
        ("info", HOSTILE),
        (HOSTILE,),
        ("logs", "web", "-l", HOSTILE),
        ("-c", HOSTILE, "list"),
        ("--url", f"http://{HOSTILE}", "list"),
        ("doctor",),
    ],
    ids=lambda words: " ".join(
        re.sub(r"[^!-~].*", "", word.partition("\n")[0]) or "hostile" for word in words
    ),
)
def test_a_terminal_gets_nothing_raw(user: Person, web: Api, words: tuple[str, ...]) -> None:
    done = user.type_in_terminal(*words)

    assert unprintable(done.out) == set()
    assert done.out


def test_colours_are_all_that_a_coloured_terminal_gets(user: Person, web: Api) -> None:
    user.environment.clear()

    done = user.type_in_terminal("logs", "web", "-l", "1", "-p", "1000")

    assert "\x1b[" in done.out
    ours = {"\x1b[36m", "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"}
    assert set(re.findall(r"\x1b[^m]*m", done.out)) <= ours
    assert unprintable(re.sub(r"\x1b\[\d+m", "", done.out)) == set()


def test_one_record_is_one_line(user: Person, web: Api) -> None:
    assert len(web("logs", listen_point="web", level=1, per_page=500).value) == 500

    lines = user.type_in_terminal("logs", "web", "-l", "1", "-p", "500").out.split("\n")[:-1]

    assert len(lines) == 500 + 2
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", line) for line in lines[2:])


@pytest.mark.parametrize(
    "form",
    ["{}: x\n", "listen_point: {}\n", "- {}\n", "listen_point: web\n{}: {}\n"],
    ids=["a key", "a listen point", "a list", "an unknown key"],
)
def test_a_config_refused_is_one_harmless_line(user: Person, web: Api, form: str) -> None:
    for number, text in enumerate(CORPUS.values()):
        (user.folder / f"{number}.yml").write_text(form.replace("{}", json.dumps(text)))

    done = user.sci("create", "*.yml")

    files = len(list(user.folder.glob("*.yml")))
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == files
    assert unprintable(done.err) == set()


def test_every_answer_is_harmless_where_it_is_shown_as_it_came(web: Api) -> None:
    for reply in (
        web("logs", listen_point="web", level=1, per_page=1000),
        web("history", listen_point="web", per_page=1000),
        web("logs", listen_point=HOSTILE),
        web(HOSTILE),
        web("trigger", listen_point="web", **{HOSTILE: HOSTILE}),
        web("create", config_string=HOSTILE),
        web("create", config_string=json.dumps({"listen_point": HOSTILE, HOSTILE: HOSTILE})),
        web("bind", listen_point="web", config_file=f"/{HOSTILE}"),
    ):
        assert re.findall(rb"[^\x20-\x7e\n]", reply.body) == []


def test_the_logs_of_the_server_have_one_harmless_line_for_each_event(
    web: Api, server: RunningServer
) -> None:
    raw = b"\x1b]0;owned\x07\x85\x9b2J\xe2\x80\xae"
    agent = b"User-Agent: " + raw + b"\r\nReferer: " + raw + b"\r\nX-Forwarded-For: " + raw
    for path in (b"/" + raw, b"/?action=" + raw, b"/%1b]0;owned%07%0a%c2%85%e2%80%ae", b"*" + raw):
        for method in (b"GET", b"POST", raw):
            start = method + b" " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            tell(server.url, start + agent + b"\r\n\r\n")
    send(server.url, path="/after-all")
    log = server.folder / "sloth_access.log"
    wait_until(lambda: "/after-all" in log.read_text())

    for name in ("sloth_access.log", "sloth_error.log", "screen.txt"):
        text = (server.folder / name).read_bytes().decode()
        assert unprintable(text) == set()
        assert [
            line
            for line in text.splitlines()
            if not re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ", line)
        ] == []


def test_a_config_file_that_is_refused_at_the_start_is_told_harmlessly(
    launch: Callable[..., RunningServer], tmp_path: Path
) -> None:
    for number, text in enumerate(CORPUS.values()):
        file = tmp_path / f"{number}\x1b]0;owned\x07\u202e.yml"
        file.write_text(f"listen_point: {json.dumps(text)}\n")
    launch(config="paths: {configs: ['*owned*.yml']}")

    text = (tmp_path / "screen.txt").read_text()

    assert text.count("is refused") == len(CORPUS)
    assert unprintable(text) == set()
