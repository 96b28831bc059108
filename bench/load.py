"""Load by `wrk`: many requests from few connections, and what came of them."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("load.lua")


@dataclass(frozen=True, slots=True)
class Load:
    """What the clients saw."""

    #: Requests answered a second.
    rate: float
    #: Milliseconds.
    p50: float
    p99: float
    #: Answers that were refusals, and requests without an answer.
    errors: int

    def __str__(self) -> str:
        refused = f", {self.errors} refused" if self.errors else ""
        return f"{self.rate:,.0f}/s, p50 {self.p50:.1f} ms, p99 {self.p99:.1f} ms{refused}"


@dataclass(frozen=True, slots=True)
class Request:
    """A request that is sent again and again; a `@` in a header is another number each time."""

    headers: Mapping[str, str]
    body: bytes = b""
    method: str = "POST"


def press(
    url: str,
    request: Request,
    *,
    paths: Sequence[str],
    seconds: float,
    folder: Path,
    connections: int = 10,
) -> Load:
    """Send the request to the paths in turn, as fast as answers come."""
    body, headers, path_list = folder / "body", folder / "headers", folder / "paths"
    body.write_bytes(request.body)
    headers.write_text("".join(f"{name}: {value}\n" for name, value in request.headers.items()))
    path_list.write_text("\n".join(paths))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}", "--timeout", "30"]
    script = ["-s", str(SCRIPT), url, "--", request.method, str(body), str(headers), str(path_list)]
    done = subprocess.run([*command, *script], capture_output=True, text=True, check=True)
    line = next(one for one in done.stdout.splitlines() if one.startswith("FIGURES "))
    requests, duration, errors, p50, p99 = (float(word) for word in line.split()[1:])
    good = requests - errors
    return Load(good / duration * 1e6, p50 / 1e3, p99 / 1e3, int(errors))
