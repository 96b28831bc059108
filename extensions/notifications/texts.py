"""Subjects and bodies: templates with placeholders, filled with what a build has to say."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sloth_ci.builds import BuildStatus
from sloth_ci.masking import escape_controls

from .occasions import Occasion

SUBJECT = "{headline}"
BODY = """\
Build: {build}
Branch: {branch}
Commit: {commit}
Author: {author}
Message: {message}
Took: {duration}
See: {link}

{log}
"""
#: Params that providers give; where a build has none of that name, it is an empty text.
_OF_PROVIDERS = ("branch", "tag", "commit", "author", "message", "url", "repo", "owner", "ref")
#: Characters of a subject, of a value in the body, and of one line of the log.
_MOST_SUBJECT, _MOST_VALUE, _MOST_LINE = 200, 2_000, 500

_PLACEHOLDER = re.compile(
    r"\{\{([A-Za-z_][A-Za-z0-9_]*)\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII
)
_GAP = re.compile(r"\n{3,}")


@dataclass(frozen=True, slots=True)
class Notice:
    """What is to be sent."""

    #: One line.
    subject: str
    body: str
    #: What it is about, for colours and signs.
    mood: BuildStatus


def list_values(
    occasion: Occasion, *, link: str, log: Sequence[str], mask: Callable[[str], str]
) -> dict[str, str]:
    """The values of all placeholders; those of the build win over params of the same name."""
    build = occasion.build
    values = dict.fromkeys(_OF_PROVIDERS, "")
    values |= {name: _shorten(mask(value), _MOST_VALUE) for name, value in build.params.items()}
    values |= {
        "listen_point": build.listen_point,
        "build": str(build.id),
        "status": build.status.value,
        "outcome": "Started" if build.status is BuildStatus.RUNNING else build.message,
        "change": occasion.change.value.replace("_", " ") if occasion.change else "",
        "cause": build.cause,
        "duration": _describe_duration(build.started, build.finished),
        "link": link,
        "log": "\n".join(_shorten(mask(line), _MOST_LINE) for line in log),
    }
    return {**values, "headline": _headline(values)}


def write_notice(
    subject: str, body: str, values: Mapping[str, str], *, mood: BuildStatus
) -> Notice:
    """The notice of two templates.

    `{{x}}` is the text `{x}`; what has no value stays as it is, so that a slip is seen. A line of
    the body whose placeholders are all empty is left out.
    """
    line = " ".join(fill(subject, values).split())
    return Notice(_shorten(escape_controls(line), _MOST_SUBJECT), _fill_body(body, values), mood)


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with values in place of placeholders."""

    def shown(found: re.Match[str]) -> str:
        return f"{{{found[1]}}}" if found[1] else values.get(found[2], found[0])

    return _PLACEHOLDER.sub(shown, text)


def _fill_body(body: str, values: Mapping[str, str]) -> str:
    lines = [fill(line, values) for line in body.splitlines() if _says_something(line, values)]
    text = "\n".join(_clean(line) for line in "\n".join(lines).splitlines())
    return _GAP.sub("\n\n", text).strip() + "\n"


def _says_something(line: str, values: Mapping[str, str]) -> bool:
    names = [found[2] for found in _PLACEHOLDER.finditer(line) if found[2]]
    return not names or any(values.get(name, name) for name in names)


def _clean(line: str) -> str:
    """The line without what could move a reader's cursor; tabs may stay."""
    return "\t".join(map(escape_controls, line.split("\t")))


def _headline(values: Mapping[str, str]) -> str:
    end = f", {values['change']}" if values["change"] else ""
    where = values["branch"] or values["tag"]
    return f"{values['listen_point']}: {values['outcome']}{end}" + (f" ({where})" if where else "")


def _describe_duration(started: float | None, finished: float | None) -> str:
    if started is None or finished is None:
        return ""
    seconds = max(0, round(finished - started))
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _shorten(text: str, most: int) -> str:
    text = text.encode(errors="replace").decode()
    return text if len(text) <= most else f"{text[: most - 1]}…"
