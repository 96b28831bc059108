"""What `docker_exec` may be told in a config."""

from pathlib import PurePosixPath
from typing import Annotated, Any

from sloth_ci.config import (
    Names,
    OptionalFilled,
    Seconds,
    Section,
    Size,
    Texts,
    checked_by,
    one_of,
)


def read_cpus(value: Any) -> float:
    """A number of processors."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = 0.0
    if not 0.01 <= number <= 10_000:
        raise ValueError(f"must be a number of processors such as 1.5, not '{value}'")
    return number


def read_inside(value: Any) -> str:
    """A folder in the container."""
    if not isinstance(value, str) or not PurePosixPath(value).is_absolute() or ":" in value:
        raise ValueError(f"must be a folder in the container such as /work, not '{value}'")
    return value


def read_engine(value: Any) -> str:
    """The address of an engine."""
    if isinstance(value, str) and value.startswith(("unix:///", "tcp://")):
        return value
    raise ValueError(f"must be as unix:///var/run/docker.sock or tcp://host:port, not '{value}'")


class DockerOptions(Section):
    """What the container is made of, and what it may."""

    image: OptionalFilled = None
    dockerfile: OptionalFilled = None
    context: OptionalFilled = None
    build_args: Names = {}  # noqa: RUF012  frozen, as all of it
    pull: Annotated[str, one_of("missing", "always", "never")] = "missing"
    mount: Annotated[str, checked_by(read_inside)] = "/work"
    volumes: Texts = ()
    user: OptionalFilled = None
    network: OptionalFilled = None
    memory: Size | None = None
    cpus: Annotated[float, checked_by(read_cpus)] | None = None
    engine: Annotated[str, checked_by(read_engine)] = "unix:///var/run/docker.sock"
    patience: Seconds = 60.0

    def check(self) -> None:
        """Refuse what does not go together."""
        if (self.image is None) == (self.dockerfile is None):
            raise ValueError("needs either an 'image' or a 'dockerfile'")
        if self.image is not None and (self.context or self.build_args):
            raise ValueError("has 'context' or 'build_args', which are for a 'dockerfile'")
        for volume in self.volumes:
            parts = volume.split(":")
            if len(parts) not in (2, 3) or not all(parts) or not parts[1].startswith("/"):
                raise ValueError(f"has a volume '{volume}', which is not as /here:/there")
