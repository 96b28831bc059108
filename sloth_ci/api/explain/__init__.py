"""`explain`: why a build ended as it did, what changed, and what to do next.

The same build has the same answer, made by rules of what the store knows of it and of its app.
"""

from typing import Any

from sloth_ci.api.explain.advice import Advice, advise_ended, advise_unfinished
from sloth_ci.api.explain.comparison import Comparison, compare_configs
from sloth_ci.api.explain.failures import (
    Failure,
    Streak,
    find_failure,
    find_streak,
    last_lines,
)
from sloth_ci.api.explain.words import describe_end
from sloth_ci.api.server import Server
from sloth_ci.api.shapes import between, find_build, mask_of, show_build
from sloth_ci.builds import BuildStatus, OutcomeStatus
from sloth_ci.config import read_app_document
from sloth_ci.masking import Mask
from sloth_ci.parameters import Answer, ApiAction, Kind, Parameter
from sloth_ci.records import LogRecord
from sloth_ci.store import StoredBuild
from sloth_ci.template import TemplateRefused, compile_template

#: Characters of the first error in the summary.
MAX_QUOTE = 200


def explain(server: Server, *, build: int) -> Answer:
    """Why a build ended as it did."""
    found = find_build(server, build)
    if not found.status.final:
        return Answer(_explain_unfinished(server, found))
    store = server.store
    mask = mask_of(server, found)
    failure = None if found.status is BuildStatus.COMPLETE else find_failure(store, found)
    # An order that ended a build tells nothing of those before it.
    is_telling = found.status not in (BuildStatus.CANCELLED, BuildStatus.INTERRUPTED)
    streak = find_streak(store, found, failure) if failure and is_telling else None
    comparison = _compare(server, found)
    missing = _find_missing(server, found, failure)
    advice = advise_ended(found, failure, streak, comparison, missing=missing)
    ends = failure.last_lines if failure else last_lines(store, found)
    return Answer(
        {
            "build": show_build(server, found),
            "summary": mask(_summarise(found, failure, streak)),
            "failing": _show_failure(failure),
            "last_lines": [_show_line(line) for line in ends],
            "compared_with": _show_comparison(comparison, mask),
            "before": _show_streak(streak),
            "next": _show_advice(advice, mask),
        }
    )


def _explain_unfinished(server: Server, build: StoredBuild) -> dict[str, Any]:
    app_ids = (None, build.app_id)
    paused = any(pause.app_id in app_ids for pause in server.store.pauses())
    advice = advise_unfinished(build, paused=paused)
    return {
        "build": show_build(server, build),
        "summary": f"It is {build.status}: {build.completed} of {build.total} actions completed.",
        "failing": None,
        "last_lines": [_show_line(line) for line in last_lines(server.store, build)],
        "compared_with": None,
        "before": None,
        "next": _show_advice(advice, mask_of(server, build)),
    }


def _compare(server: Server, build: StoredBuild) -> Comparison | None:
    then = server.store.previous(build.id, status=BuildStatus.COMPLETE)
    if then is None:
        return None
    configs = [
        None if one.config_id is None else server.store.config(one.config_id)
        for one in (then, build)
    ]
    return Comparison(now=build, then=then, config=compare_configs(*configs))


def _find_missing(server: Server, build: StoredBuild, failure: Failure | None) -> str | None:
    """The param that the failing action needed and had no value for."""
    if failure is None or failure.action.exit_code is not None or build.config_id is None:
        return None
    text = server.store.config(build.config_id)
    data = read_app_document(text).data if text else {}
    actions, position = data.get("actions") or [], failure.action.position
    if position >= len(actions):
        return None
    written = getattr(actions[position], "value", actions[position])
    try:
        template = compile_template(written)
    except TemplateRefused:
        return None  # an older release took it
    return template.missing({**(data.get("params") or {}), **build.params})


def _summarise(build: StoredBuild, failure: Failure | None, streak: Streak | None) -> str:
    parts = [_begin(build, failure)]
    if streak and streak.times:
        times = f"{'at least ' if streak.cut else ''}{streak.times}"
        plural = "build" if streak.times == 1 and not streak.cut else "builds"
        parts.append(
            f"The {times} {plural} before failed the same way, since build {streak.first.id}."
        )
    if failure and failure.error:
        parts.append(f"First error: {failure.error.message.strip()[:MAX_QUOTE]}")
    return " ".join(parts)


def _begin(build: StoredBuild, failure: Failure | None) -> str:
    if build.status is BuildStatus.COMPLETE:
        return f"It is good: all of its {build.total} actions completed."
    if build.status is BuildStatus.CANCELLED:
        return f"It ended early{_because(build) or ', as it was cancelled'}."
    if build.status is BuildStatus.INTERRUPTED:
        return "The server went down while it ran."
    if failure is None:
        words = "Its time was over" if build.status is BuildStatus.TIMED_OUT else "It failed"
        return f"{words}{_because(build)}."
    action = failure.action
    words = describe_end(
        status=action.status or "", exit_code=action.exit_code, number=action.signal
    )
    place = f"Action {action.position + 1} of {build.total}"
    if action.status == OutcomeStatus.TIMED_OUT:
        return f"{place} was ended, as {words}: {action.reason}."
    if action.exit_code is not None:
        return f"{place} failed with exit code {action.exit_code}: {words}."
    return f"{place} failed: {words or action.reason}."


def _because(build: StoredBuild) -> str:
    return f": {build.reason.rstrip('.')}" if build.reason else ""


def _show_failure(failure: Failure | None) -> dict[str, Any] | None:
    if failure is None:
        return None
    action = failure.action
    return {
        "position": action.position + 1,
        "command": action.command,
        "status": action.status,
        "reason": action.reason,
        "exit_code": action.exit_code,
        "signal": action.signal,
        "in_words": describe_end(
            status=action.status or "", exit_code=action.exit_code, number=action.signal
        ),
        "error": _show_line(failure.error) if failure.error else None,
        "others": [position + 1 for position in failure.others],
    }


def _show_line(line: LogRecord) -> dict[str, Any]:
    stream = line.stream.name.lower() if line.stream else None
    return {"id": line.id, "stream": stream, "text": line.message}


def _show_comparison(comparison: Comparison | None, mask: Mask) -> dict[str, Any] | None:
    if comparison is None:
        return None
    then, now = comparison.then, comparison.now
    return {
        "build": then.id,
        "finished": then.finished,
        "commit": (
            None
            if then.commit_id == now.commit_id
            else {"then": mask(then.commit_id), "now": mask(now.commit_id)}
        ),
        "params": [
            {"name": name, "then": _mask(mask, old), "now": _mask(mask, new)}
            for name, old, new in comparison.params
        ],
        "config": None if comparison.config is None else list(comparison.config),
        "duration": {
            "then": between(then.started, then.finished),
            "now": between(now.started, now.finished),
        },
    }


def _mask(mask: Mask, text: str | None) -> str | None:
    return None if text is None else mask(text)


def _show_streak(streak: Streak | None) -> dict[str, Any] | None:
    if streak is None:
        return None
    return {
        "same": streak.times > 0,
        "times": streak.times,
        "more": streak.cut,
        "since_build": streak.first.id,
        "since": streak.first.queued,
    }


def _show_advice(advice: Advice | None, mask: Mask) -> dict[str, Any] | None:
    if advice is None:
        return None
    params = {
        name: mask(value) if isinstance(value, str) else value
        for name, value in advice.params.items()
    }
    return {"advice": mask(advice.text), "action": advice.action, "params": params}


ROWS = (
    ApiAction(
        "explain",
        200,
        "Tell why a build ended as it did, what changed, and what to do next.",
        explain,
        (Parameter("build", "the build's number", kind=Kind.NUMBER, required=True),),
        example={"build": "17"},
    ),
)
