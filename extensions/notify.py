"""What `sci notify` does: it has the notifications of an app send a test."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from sloth_ci.command import Command, Terminal


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument("app", metavar="APP", help="the app's listen point")
    parser.add_argument(
        "-n", "--name", metavar="NAME", help="one of its notifications, as the config names it"
    )


def _run(arguments: Mapping[str, Any], terminal: Terminal) -> int:
    answer = terminal.connect().call(
        "notify", listen_point=arguments["app"], name=arguments["name"] or None
    )
    for one in answer:
        if one["problem"]:
            terminal.warn(f"{one['name']}: not sent by {one['by']}: {one['problem']}")
    sent = [f"{one['name']}: sent by {one['by']}" for one in answer if one["sent"]]
    terminal.show(answer, "\n".join(sent))
    return 0 if len(sent) == len(answer) else 1


COMMAND = Command("Send a test by an app's notifications.", _run, _declare)
