"""T8: no path given to `bind` or `create` reads what it should not, or holds a thread up."""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from uuid import uuid4

import pytest

from tests.calls import Api
from tests.conftest import RunningServer

#: What no answer may repeat.
CONTENT = "the-content-of-a-private-file"
#: Seconds in which there is an answer, with room for a busy machine.
SOON = 5


@dataclass(frozen=True)
class Place:
    """A folder of traps, and an app to bind with them."""

    folder: Path
    api: Api
    app: str


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, shared_server: RunningServer
) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("traps")
    (folder / "private.txt").write_text(f"{CONTENT}\n")
    (folder / "private.yml").write_text(f"{CONTENT}: [{CONTENT}\n")
    (folder / "mapping.yml").write_text(f"{CONTENT}: {CONTENT}\n")
    (folder / "tagged.yml").write_text(f"!!python/name:{CONTENT} {CONTENT}\n")
    (folder / "bytes.yml").write_bytes(CONTENT.encode() + b"\xff\xfe\0")
    (folder / "empty.yml").write_text("")
    (folder / "link.yml").symlink_to(folder / "private.txt")
    (folder / "etc.yml").symlink_to("/etc/passwd")
    (folder / "loop.yml").symlink_to(folder / "loop.yml")
    (folder / "there.yml").symlink_to(folder / "back.yml")
    (folder / "back.yml").symlink_to(folder / "there.yml")
    (folder / "dangling.yml").symlink_to(folder / "nothing.yml")
    (folder / "tty.yml").symlink_to("/dev/tty")
    (folder / "zero.yml").symlink_to("/dev/zero")
    os.mkfifo(folder / "fifo.yml")
    (folder / "fifo-link.yml").symlink_to(folder / "fifo.yml")
    with (folder / "huge.yml").open("wb") as huge:
        huge.write(CONTENT.encode())
        huge.truncate(2_000_000_000)
    (folder / "hidden").mkdir(mode=0)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(folder / "socket.yml"))
    api = Api(shared_server.url, shared_server.login)
    app = api.create(f"listen_point: hostile-{uuid4().hex}\nactions: [echo hello]\n")
    yield Place(folder, api, app)
    listening.close()


PATHS = (
    *("/etc/passwd", "/etc/shadow", "/etc/hostname", "/proc/self/environ", "/proc/self/cmdline"),
    *("/proc/self/mem", "/proc/self/maps", "/proc/kcore", "/proc/self/fd/0", "/proc/self/fd/1"),
    *("/dev/zero", "/dev/null", "/dev/random", "/dev/full", "/dev/tty", "/dev/stdin"),
    *("/dev/fd/0", "/sys/kernel/profiling", "/", "//", "/.", "/..", "/etc", "/etc/passwd/"),
    *("/../../../etc/passwd", "//etc//passwd", "/etc/./passwd", "/etc/../etc/passwd"),
    *("/%65tc/passwd", "/%2e%2e/etc/passwd", "/etc%2fpasswd", "/etc/passwd%00.yml"),
    *("/etc/passwd\0.yml", "\0", "/\0", "/etc\\passwd", "/etc/passwd\n", " /etc/passwd"),
    *("etc/passwd", "../private.yml", "./private.yml", ".", "..", "~", "~/.ssh/id_rsa"),
    *("~root/.profile", "$HOME/.profile", "file:///etc/passwd", "http://127.0.0.1/x.yml"),
    *("\\\\host\\share\\x.yml", "C:\\x.yml", "/" + "a" * 300, "/" + "a/" * 3_000, "/\u202e"),
    *("/\ud7ff\uffff", "/\U0010ffff", "|id", "/$(id)", "/`id`", "-", "--help"),
    *("@/private.txt", "@/private.yml", "@/mapping.yml", "@/tagged.yml", "@/bytes.yml"),
    *("@/empty.yml", "@/link.yml", "@/etc.yml", "@/loop.yml", "@/there.yml", "@/dangling.yml"),
    *("@/tty.yml", "@/zero.yml", "@/fifo.yml", "@/fifo-link.yml", "@/huge.yml", "@/hidden"),
    *("@/hidden/x.yml", "@/socket.yml", "@", "@/", "@/../*", "@/private.txt/x.yml"),
    *("@/no\x1b[2J.yml", "@/*.yml", "@/private.yml\0", "@/./link.yml", "@/nothing/../link.yml"),
)


def test_there_are_more_than_sixty_paths() -> None:
    assert len(set(PATHS)) > 60


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ascii(path[:30])[1:-1])
def test_a_path_binds_nothing_and_shows_nothing(place: Place, path: str) -> None:
    start = monotonic()

    reply = place.api(
        "bind", listen_point=place.app, config_file=path.replace("@", str(place.folder))
    )

    assert monotonic() - start < SOON
    assert 400 <= reply.status <= 500
    assert reply.value["error"]["code"] in {
        *("config_file_not_found", "config_unreadable", "config_invalid", "config_mismatch"),
        *("bad_param", "missing_param", "bad_body"),
    }
    assert CONTENT not in reply.body.decode()
    for word in ("root:", "daemon", "PATH=", "sloth_ci.server"):
        assert word not in reply.value["error"]["message"]
    assert place.api("info", listen_points=place.app).value[0]["config_file"] is None


@pytest.mark.parametrize(
    "listen_point",
    [
        *(
            "..",
            ".",
            "",
            "/",
            "/web",
            "web/",
            "a//b",
            "a/../b",
            "a/./b",
            "-/web",
            "%2e%2e",
            "a%2fb",
        ),
        *("a\\b", "a b", "a\tb", "a\nb", "a\0b", "\u202eweb", "ünï", "a?b", "a#b", "a;b", "a:b"),
        *("../sloth.db", "a" * 201, "$(id)", "a'b", "<script>", "*", "~/../x/", "-"),
    ],
    ids=lambda name: ascii(name[:20])[1:-1] or "empty",
)
def test_a_listen_point_is_no_path(place: Place, listen_point: str) -> None:
    text = "listen_point: " + repr(listen_point).replace("'", '"') + "\nactions: [true]\n"

    assert place.api("create", config_string=text).value["error"]["code"] == "config_invalid"
    assert place.api("info", listen_points=listen_point).status in (200, 400, 404)
    assert place.api("history", listen_point=listen_point).status in (400, 404)


def test_the_server_answers_after_all_of_it(place: Place) -> None:
    assert place.api("version").status == 200
