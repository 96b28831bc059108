"""`docker_exec` runs an app's actions in a container of Docker, or of what speaks its API (Podman).

A build has one container: its first action starts it, the following ones run in the same, and find
there what those before them made or installed; when the build ends it is removed. The app's
work_dir is mounted in it, and is where actions run. Output comes line by line, both streams apart,
and the exit code is the action's. Each action is run by the container's `/bin/sh`, with the values
of placeholders in its environment, as ever, and with the app's `env`; nothing of this machine's
environment goes along.

```yaml
listen_point: web
work_dir: /srv/web
actions:
  - pip install -e .
  - pytest
extensions:
  box:
    module: docker_exec
    image: python:3.12-slim
```

All that can be said:

```yaml
listen_point: library
work_dir: /srv/library
actions: [make test]
extensions:
  box:
    module: docker_exec
    dockerfile: ci/Dockerfile    # instead of image; relative to work_dir
    context: .                   # what it may COPY, relative to work_dir; nothing when not given
    build_args: {VERSION: "3.12"}
    pull: missing                # the default; or always, never
    mount: /work                 # where work_dir is in the container; /work when not given
    volumes: ["/srv/cache:/root/.cache", "/etc/ssl:/etc/ssl:ro"]
    user: "1000:1000"            # the image's own when not given
    network: none                # bridge, host, a network's name; the engine's default
    memory: 512M
    cpus: 1.5
    engine: unix:///var/run/docker.sock  # the default; or tcp://host:port
    patience: 60                 # seconds for each answer of the engine
```

An image made from a `dockerfile` is built when it, the files it may copy or the `build_args` have
changed, and kept under a name with their checksum. To pull or build belongs to the first action,
and counts into its time.

When its time is over or the build is cancelled, everything in the container gets TERM, and 5
seconds later the container is killed and removed; an action that follows starts a new one. What an
action leaves behind in the background ends with it, unless it is marked `!detach`: then it lives on
until the build ends. Containers that a server left behind because it was killed are removed when it
starts again. Root in the container is root in the mounted folders: set `user` where that matters.

The image needs `/bin/sh`, `sleep` and `grep`. `user` and `limits` of the app are about this
machine, so actions fail with them; the options here take their place. The engine must see this
machine's folders at the same place. `tcp://` is neither encrypted nor checked, so keep it to this
machine.

It needs the extra `docker`: `pip install 'sloth-ci[docker]'`. Its tests talk to an engine made for
them, after the documented API, that runs commands in namespaces of the kernel; no release of the
real engine has been tried with them.
"""

from collections.abc import Mapping
from logging import WARNING
from pathlib import Path
from secrets import token_hex
from threading import Lock
from time import monotonic
from typing import Any

from sloth_ci.builds import Build, BuildJournal, BuildStatus, Halt, Outcome, OutcomeStatus
from sloth_ci.extension import Context, Extension, hook
from sloth_ci.hooks import BuildEvent
from sloth_ci.shell import Breaker, Order, Orders, own_life

from ._docker_engine import Box, Command, Engine, EngineFailed
from ._docker_options import DockerOptions
from ._docker_recipe import Recipe

#: Under this note stands what our containers are known by.
_TOKEN = "token"  # noqa: S105  no secret
_LABEL = "sloth-ci"
_INTERRUPTED_GRACE = 1.0
_BILLION = 1_000_000_000
_NAME = "sloth-ci"


class _Container:
    """A build's container, and the engine that has it."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name
        #: Whether something may live on in it from one action to the next.
        self.detached = False

    def remove(self) -> None:
        """Remove it; it's gone whatever is raised."""
        try:
            self.engine.remove(self.name)
        finally:
            self.engine.close()


class DockerExec(Extension):
    """Starts containers with builds' first actions, and removes them at builds' ends."""

    Options = DockerOptions
    options: DockerOptions

    def __init__(self, options: DockerOptions, context: Context, *, grace: float = 5.0) -> None:
        super().__init__(options, context)
        self._grace = grace
        self._orders = Orders(where="in a container")
        self._lock = Lock()
        self._containers: dict[int, _Container] = {}

    def open(self) -> None:
        """Remove what an earlier life of the server left behind."""
        self.context.later(self._remove_leftovers)

    def close(self) -> None:
        """Remove what is left."""
        for build_id in list(self._containers):
            self._let_go(build_id)

    @hook
    def run_action(
        self,
        build: Build,
        position: int,
        deadline: float | None,
        halt: Halt,
        journal: BuildJournal,
    ) -> Outcome:
        """Run the action in the build's container."""
        order = self._orders.make(build, position, deadline, halt, journal)
        if isinstance(order, Outcome):
            return order
        try:
            outcome = self._run(order)
        except EngineFailed as error:
            self._let_go(build.id)
            return order.broken_off() if order.over() else order.failed(str(error))
        if _last(order, outcome):
            self._let_go(build.id)
        return outcome

    @hook
    def build_finished(self, build: BuildEvent) -> None:
        """Remove the build's container, if it is still there."""
        self.context.later(lambda: self._let_go(build.id))

    def _run(self, order: Order) -> Outcome:
        container = self._container_for(order)
        if order.over():
            return order.broken_off()
        output = order.open_output()
        command = container.engine.run(container.name, order.text, order.environment)
        try:
            code = command.follow(
                output.take, over=order.over, until=order.deadline, heed=order.halt.fileno()
            )
            if code is None:
                self._end(order, container, command, output.take)
        finally:
            command.close()
        output.close()
        if code is None:
            return order.broken_off()
        container.detached |= order.detach
        if not container.detached:
            container.engine.tidy(container.name)
        return order.ended(code)

    def _end(self, order: Order, container: _Container, command: Command, take: Any) -> None:
        """TERM to everything in the container, and time to end; KILL is its removal."""
        grace = self._grace
        if order.halt.status is BuildStatus.INTERRUPTED:
            grace = min(grace, _INTERRUPTED_GRACE)
        until = monotonic() + grace
        container.engine.tell_term(container.name)
        command.follow(take, over=lambda: monotonic() >= until, until=until, heed=None)

    def _container_for(self, order: Order) -> _Container:
        build_id = order.build.id
        with self._lock:
            known = self._containers.get(build_id)
        if known:
            return known
        engine = Engine(self.options.engine, patience=self.options.patience)
        try:
            with Breaker(order, engine.break_off):
                image = self._image_for(order, engine)
            if order.over():
                raise EngineFailed("The build ended when its image had just been made ready.")
            made = _Container(engine, engine.start(self._box(order.build, image)))
        except BaseException:
            engine.close()
            raise
        with self._lock:
            self._containers[build_id] = made
        return made

    def _image_for(self, order: Order, engine: Engine) -> str:
        pull = self.options.pull
        if self.options.image is not None:
            image = self.options.image
            if pull == "always" or (pull == "missing" and not engine.has(image)):
                order.say(f"Pulling {image}")
                engine.pull(image, order.say)
            return image
        try:
            recipe = self._recipe(order.build)
            image = f"{_NAME}/{_path_in_names(order.build.listen_point)}:{recipe.digest}"
            if not engine.has(image):
                order.say(f"Building {image} from {self.options.dockerfile}")
                engine.build(recipe, image, order.say, pull=pull == "always")
        except (OSError, UnicodeDecodeError) as error:
            raise EngineFailed(f"The image can't be built: {error}") from error
        return image

    def _recipe(self, build: Build) -> Recipe:
        folder = Path(build.work_dir).resolve()
        dockerfile = _inside(folder, str(self.options.dockerfile))
        context = self.options.context
        return Recipe(
            dockerfile=dockerfile,
            context=None if context is None else _inside(folder, context),
            arguments=self.options.build_args,
        )

    def _box(self, build: Build, image: str) -> Box:
        options = self.options
        work_dir = Path(build.work_dir).resolve()
        if not work_dir.is_dir():
            # The engine would make an empty one, as root.
            raise EngineFailed(f"The work_dir '{work_dir}' does not exist; create it.")
        return Box(
            image=image,
            binds=[f"{work_dir}:{options.mount}", *options.volumes],
            folder=options.mount,
            user=options.user,
            network=options.network,
            memory=options.memory,
            cpus=None if options.cpus is None else round(options.cpus * _BILLION),
            labels={
                **self._labels,
                f"{_LABEL}.life": own_life(),
                f"{_LABEL}.listen_point": build.listen_point,
                f"{_LABEL}.build": str(build.id),
            },
        )

    @property
    def _labels(self) -> Mapping[str, str]:
        """What this extension's containers are known by, over all lives of the server."""
        with self._lock:
            token = self.context.notes.get(_TOKEN)
            if token is None:
                token = token_hex(8)
                self.context.notes.set(_TOKEN, token)
        return {_LABEL: token}

    def _let_go(self, build_id: int) -> None:
        with self._lock:
            container = self._containers.pop(build_id, None)
        if container is None:
            return
        try:
            container.remove()
        except EngineFailed as error:
            self.context.log(WARNING, f"The container {container.name} may be left: {error}")

    def _remove_leftovers(self) -> None:
        try:
            engine = Engine(self.options.engine, patience=self.options.patience)
        except EngineFailed as error:
            self.context.log(WARNING, str(error))
            return
        try:
            for name, labels in engine.find(self._labels).items():
                if labels.get(f"{_LABEL}.life") != own_life():
                    engine.remove(name)
        except EngineFailed as error:
            self.context.log(WARNING, str(error))
        finally:
            engine.close()


def _last(order: Order, outcome: Outcome) -> bool:
    """Whether no action follows this one in its container."""
    build = order.build
    if outcome.status in (OutcomeStatus.TIMED_OUT, OutcomeStatus.HALTED):
        return True
    if order.position == len(build.actions) - 1:
        return True
    ends = build.stop_on_first_fail or build.actions[order.position].critical
    return ends and outcome.status is not OutcomeStatus.COMPLETED


def _path_in_names(listen_point: str) -> str:
    """As it may stand in the name of an image."""
    parts = (
        "".join(letter if letter.isalnum() else "-" for letter in part.lower()).strip("-") or "app"
        for part in listen_point.split("/")
    )
    return "/".join(parts)


def _inside(folder: Path, name: str) -> Path:
    """A path of the work_dir; a link that leads out of it is not followed."""
    if Path(name).is_absolute():
        return Path(name)
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        raise EngineFailed(f"'{name}' leads out of the work_dir {folder}; it can't be used.")
    return path


EXTENSION = DockerExec
