"""5. Pages of logs, history and builds, and `info`, from a file of ever more records."""

import http.client
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any

from bench.contestant import PATIENCE, App, wait_until
from bench.course import Course, series
from bench.figures import Aim, Curve, Figure, Finding, Target
from bench.fill import multiply
from bench.peers import OLD, OURS, Old, Ours

APPS = [App(f"spam{number}") for number in range(20)]
#: Records for each build.
SHARE = 20
PER_PAGE = 50
#: Builds that can be had by number.
MOST_NUMBERED = 10_000
PAGE, CURSOR = 25, 3


def measure(course: Course) -> Iterator[Finding]:
    """Each page at every size, the published server at a million."""
    sizes = course.effort.pick(smoke=(1_000, 3_000), full=(10_000, 100_000, 1_000_000, 10_000_000))
    found: dict[str, dict[int, list[float]]] = {}
    folder = course.folder()
    with Ours(folder, APPS, tree=course.tree) as server:
        server.fire(APPS[0])
        wait_until(lambda: bool(server.finished()))
    for size in sizes:
        _fill(folder / "sloth.db", size)
        with Ours(folder, APPS, tree=course.tree) as server:
            course.say(f"{size:,} records are there")
            for title, action, params in _questions(server, size):
                found.setdefault(title, {})[size] = _ask(course, server, action, params)
                course.say(f"{title} of {size:,}: {median(found[title][size]):.2f} ms")
    course.forget(folder)
    old = _ask_old(course) if OLD in course.peers else {}
    yield from _figures(sizes, found, old)
    for group in ("logs", "history", "builds", "info"):
        yield Curve(
            f"reading/{group}",
            f"A page of {group} by the number of records",
            "records",
            "ms",
            {
                title: tuple((float(size), median(found[title][size])) for size in sizes)
                for title in found
                if title.split("`")[1].startswith(group)
            },
        )


def _questions(server: Ours, size: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    one = {"listen_point": APPS[0].name, "per_page": PER_PAGE}
    last = max(1, size // len(APPS) // PER_PAGE)
    builds = size // SHARE // len(APPS)
    yield "`logs`, first page", "logs", one | {"level": 1}
    yield "`logs`, last page by number", "logs", one | {"level": 1, "from_page": last}
    yield "`logs`, errors only", "logs", one | {"level": 40}
    yield "`history`, first page", "history", one
    yield (
        "`history`, last page by number",
        "history",
        one | {"from_page": max(1, builds // PER_PAGE)},
    )
    yield "`info` of 20 apps", "info", {}
    if server.knows("builds"):
        yield "`builds`, first page", "builds", one
        last = max(1, min(builds, MOST_NUMBERED) // PER_PAGE)
        yield "`builds`, last page by number", "builds", one | {"from_page": last}
        middle = server.rows("SELECT max(id) / 2 FROM builds")[0][0]
        yield "`builds` by cursor", "builds", one | {"before": middle}
        middle = server.rows("SELECT max(id) / 2 FROM records")[0][0]
        yield "`logs` by cursor", "logs", one | {"level": 1, "before": middle}


def _fill(file: Path, size: int) -> None:
    """Records and builds as a server of 20 apps has them: a few of the records tell of trouble."""
    multiply(
        file,
        "records",
        until=size,
        changing={
            "app": f"1 + n / {SHARE} % {len(APPS)}",
            "build": f"1 + n / {SHARE}",
            "logger": f"CASE n % {SHARE} WHEN 0 THEN 2 ELSE 1 END",
            "level": "CASE n % 100 WHEN 7 THEN 40 WHEN 13 THEN 30 ELSE 10 + n % 4 / 3 * 10 END",
            "message": "'a line of the log, number ' || n",
        },
    )
    multiply(
        file,
        "builds",
        until=size // SHARE,
        changing={
            "app": f"1 + n % {len(APPS)}",
            "first_record": f"n * {SHARE}",
            "last_record": f"n * {SHARE} + {SHARE - 1}",
            "queued_record": f"n * {SHARE}",
        },
    )


def _ask(course: Course, server: Ours | Old, action: str, params: dict[str, Any]) -> list[float]:
    """Milliseconds of each of many answers, on a connection that stays."""
    request = server.form(action, params)
    delays = []
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)) as way:
        for _ in range(course.effort.pick(smoke=3, full=20) + 1):
            began = monotonic()
            way.request(request.method, "/", request.body, dict(request.headers))
            answer = way.getresponse()
            body = answer.read()
            delays.append((monotonic() - began) * 1e3)
            if answer.status != 200:
                raise RuntimeError(f"{action} answers {answer.status}: {body[:200]!r}")
    return delays[1:]


def _ask_old(course: Course) -> dict[str, list[float]]:
    """The published server's pages, of a million records."""
    size = course.effort.pick(smoke=1_000, full=1_000_000)
    folder = course.folder()
    with Old(folder, APPS) as server:
        server.call("trigger", listen_point=APPS[0].name)
        wait_until(lambda: bool(server.finished()))
    for table, logger in (("app_logs", "exec"), ("build_history", "build")):
        multiply(
            folder / "sloth.db",
            table,
            until=size if table == "app_logs" else size // SHARE,
            changing={"logger_name": f"'spam' || (n % {len(APPS)}) || '.{logger}'"},
        )
    last = max(1, size // len(APPS) // PER_PAGE)
    one = {"listen_point": APPS[0].name, "per_page": PER_PAGE}
    asked = {
        "`logs`, first page": ("logs", one | {"level": 1}),
        "`logs`, last page by number": ("logs", one | {"level": 1, "from_page": last}),
        "`history`, first page": ("history", one),
    }
    with Old(folder, APPS) as server:
        found = {who: _ask(course, server, *question) for who, question in asked.items()}
    course.forget(folder)
    for title, delays in found.items():
        course.say(f"{title} of {size:,}, {OLD}: {median(delays):.0f} ms")
    return found


def _figures(
    sizes: tuple[int, ...], found: dict[str, dict[int, list[float]]], old: dict[str, list[float]]
) -> Iterator[Figure]:
    largest = sizes[-1]
    for title, by_size in found.items():
        limit = PAGE if "by number" in title else CURSOR
        yield Figure(
            f"reading/{title.replace('`', '')}",
            f"{title}, of {largest:,} records",
            "ms",
            Aim.LESS,
            series(OURS, by_size[largest]),
            peers=(series(f"{OLD}, of 1,000,000", old[title]),) if title in old else (),
            targets=(Target(limit),),
        )
