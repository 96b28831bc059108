"""The Docker engine, as far as builds need it: images, and a container that runs commands.

API: https://docs.docker.com/reference/api/engine/ (1.41 and later).
"""

import os
import select
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from math import ceil
from time import monotonic
from typing import Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.utils import parse_repository_tag
from urllib3.exceptions import HTTPError

from sloth_ci.records import Stream

from ._docker_recipe import Recipe

#: Names the container's first process, which shows that a command is in one of ours.
_KEEPER = "sloth-keeper"
#: The first process of a namespace gets no signal from within; it reaps what others leave.
_KEEP = "trap '' TERM; while :; do sleep 3600; done"
#: Waits until we listen, so that no output comes before that.
_WHEN_HEARD = 'read -r _; exec /bin/sh -c "$1" </dev/null'
_INSIDE = f"grep -qs {_KEEPER} /proc/1/cmdline || exit 1; "
_TELL_TERM = f"{_INSIDE}kill -s TERM -- -1"
#: The keeper, its `sleep` and this shell are always there.
_TIDY = (
    f"{_INSIDE}set -- /proc/[0-9]*; [ $# -gt 3 ] || exit 0; "
    "kill -s TERM -- -1; sleep 0.5; kill -s KILL -- -1"
)
_READ_SIZE = 65_536
#: Of a frame: stream, three zeros, length.
_HEADER = 8
_STREAMS = {1: Stream.STDOUT, 2: Stream.STDERR}
#: Seconds between looks at whether a command runs, which no stream tells for sure.
_LOOK = 1.0
#: Seconds of silence after a command's end, for output of what lives on with it in its hand.
_SILENCE = 0.3


class EngineFailed(Exception):
    """The engine could not do something; the text says what and why."""


@dataclass(frozen=True, slots=True)
class Box:
    """What a container is to be."""

    image: str
    #: `/on/this/machine:/inside` or with `:ro`.
    binds: Sequence[str]
    folder: str
    user: str | None
    network: str | None
    #: Bytes.
    memory: int | None
    #: Processors, in billionths.
    cpus: int | None
    labels: Mapping[str, str]


class Engine:
    """One engine, talked to for one build; every method raises EngineFailed."""

    def __init__(self, url: str, *, patience: float) -> None:
        self.url = url
        self._reply: Any = None
        self._broken_off = False
        with self._telling("be reached"):
            self._client = docker.APIClient(base_url=url, version="auto", timeout=ceil(patience))
        self._client.hooks["response"].append(self._remember)

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def break_off(self) -> None:
        """End the pull or build that another thread waits for."""
        self._broken_off = True
        if self._reply is not None:
            with suppress(OSError, ValueError, AttributeError):
                self._reply.raw.shutdown()

    def has(self, image: str) -> bool:
        """Whether the engine has that image."""
        with self._telling(f"look for the image {image}"):
            try:
                self._client.inspect_image(image)  # type: ignore[no-untyped-call]
            except ImageNotFound:
                return False
            return True

    def pull(self, image: str, say: Callable[[str], None]) -> None:
        """Get the image from its registry."""
        repository, tag = parse_repository_tag(image)
        with self._telling(f"pull the image {image}"):
            news = self._client.pull(repository, tag=tag or "latest", stream=True, decode=True)
            _read_news(news, say)

    def build(self, recipe: Recipe, tag: str, say: Callable[[str], None], *, pull: bool) -> None:
        """Build an image and give it that name."""
        source: dict[str, Any] = {"fileobj": BytesIO(recipe.dockerfile.read_bytes())}
        if recipe.context is not None:
            source = {"path": str(recipe.context), "dockerfile": str(recipe.dockerfile)}
        with self._telling("build the image"):
            news = self._client.build(
                **source, tag=tag, rm=True, forcerm=True, pull=pull, decode=True,
                buildargs=dict(recipe.arguments),
            )  # fmt: skip
            _read_news(news, say)

    def start(self, box: Box) -> str:
        """A new container that waits for commands; gives its id."""
        with self._telling(f"start a container of {box.image}"):
            host = self._client.create_host_config(
                binds=list(box.binds),
                mem_limit=box.memory,
                nano_cpus=box.cpus,
                network_mode=box.network,
            )
            made = self._client.create_container(
                box.image,
                entrypoint=["/bin/sh", "-c", _KEEP, _KEEPER],
                command=[],
                working_dir=box.folder,
                user=box.user,
                labels=dict(box.labels),
                host_config=host,
            )
            container: str = made["Id"]
            try:
                self._client.start(container)
            except (DockerException, OSError):
                self.remove(container)
                raise
        return container

    def run(self, container: str, text: str, environment: Mapping[str, str]) -> "Command":
        """Start a command in the container."""
        with self._telling("run a command in the container"):
            made = self._client.exec_create(
                container,
                ["/bin/sh", "-c", _WHEN_HEARD, "/bin/sh", text],
                stdin=True,
                environment=dict(environment),
            )
            line: Any = self._client.exec_start(made["Id"], socket=True)
            os.write(line.fileno(), b"\n")
        return Command(self, made["Id"], line)

    def exit_code(self, command: str) -> int | None:
        """A command's exit code; None while it runs."""
        with self._telling("look after a command"):
            seen = self._client.exec_inspect(command)
        return None if seen["Running"] or seen["ExitCode"] is None else int(seen["ExitCode"])

    def tell_term(self, container: str) -> None:
        """TERM to everything in the container."""
        self._run_aside(container, _TELL_TERM)

    def tidy(self, container: str) -> None:
        """End everything in the container but its keeper."""
        self._run_aside(container, _TIDY)

    def remove(self, container: str) -> None:
        """Kill everything in the container, and remove it."""
        with self._telling("remove the container"), suppress(NotFound):
            self._client.remove_container(container, force=True, v=True)

    def find(self, labels: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
        """Containers with these labels, running or not: their ids, and all their labels."""
        wanted = [f"{name}={value}" for name, value in labels.items()]
        with self._telling("list containers"):
            found = self._client.containers(all=True, filters={"label": wanted})
        return {one["Id"]: one.get("Labels") or {} for one in found}

    def _run_aside(self, container: str, text: str) -> None:
        with self._telling("run a command in the container"):
            made = self._client.exec_create(container, ["/bin/sh", "-c", text])
            self._client.exec_start(made["Id"])

    def _remember(self, reply: Any, *_: Any, **__: Any) -> None:
        self._reply = reply
        if self._broken_off:
            self.break_off()

    @contextmanager
    def _telling(self, wanted: str) -> Iterator[None]:
        # What requests raises is an OSError; streams are read past it, and raise urllib3's.
        try:
            yield
        except APIError as error:
            raise EngineFailed(f"Docker can't {wanted}: {error.explanation or error}") from error
        except (DockerException, OSError, HTTPError) as error:
            raise EngineFailed(f"Docker at {self.url} can't {wanted}: {error}") from error


class Command:
    """A running command; its line carries both output streams in frames."""

    def __init__(self, engine: Engine, number: str, line: Any) -> None:
        self._engine = engine
        self._number = number
        self._line = line
        self._waiting = bytearray()
        self._ended = False

    def close(self) -> None:
        """Let go of the line."""
        self._line.close()

    def follow(
        self,
        take: Callable[[Stream, bytes], None],
        *,
        over: Callable[[], bool],
        until: float | None,
        heed: int | None,
    ) -> int | None:
        """Pass output on until the command ended, and give its exit code.

        None when `over` says so, which is asked whenever the descriptor `heed` is readable, and at
        the moment `until`.
        """
        poll = select.poll()
        poll.register(self._line.fileno(), select.POLLIN)
        if heed is not None:
            poll.register(heed, select.POLLIN)
        look = monotonic() + _LOOK
        code: int | None = None
        while not over():
            moment = look if until is None else min(look, until)
            ready = {one for one, _ in poll.poll(max(0.0, moment - monotonic()) * 1000 + 1)}
            if self._line.fileno() in ready and not self._ended:
                self._read(take)
                if code is not None:
                    look = monotonic() + _SILENCE
                if self._ended:
                    poll.unregister(self._line.fileno())
                    look = monotonic()
            elif monotonic() >= look:
                if code is not None:
                    return code
                code = self._engine.exit_code(self._number)
                if code is not None and self._ended:
                    return code
                look = monotonic() + (_SILENCE if code is not None or self._ended else _LOOK)
        return None

    def _read(self, take: Callable[[Stream, bytes], None]) -> None:
        try:
            chunk = os.read(self._line.fileno(), _READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        self._ended = not chunk
        self._waiting += chunk
        while len(self._waiting) >= _HEADER:
            size = int.from_bytes(self._waiting[4:_HEADER], "big")
            if len(self._waiting) < _HEADER + size:
                return
            stream = _STREAMS.get(self._waiting[0], Stream.STDOUT)
            take(stream, bytes(self._waiting[_HEADER : _HEADER + size]))
            del self._waiting[: _HEADER + size]


def _read_news(news: Iterable[Mapping[str, Any]], say: Callable[[str], None]) -> None:
    """Lines of a pull or build as they come; what counts up is left out."""
    for one in news:
        if "error" in one:
            raise EngineFailed(str(one["error"]).strip())
        if text := str(one.get("stream") or "").strip():
            for line in text.splitlines():
                say(line)
        elif one.get("status") and not one.get("progressDetail"):
            say(": ".join(str(part) for part in (one.get("id"), one["status"]) if part))
