"""Commands about deliveries: what providers sent, and what came of it."""

import re
from collections.abc import Iterable
from secrets import token_hex
from time import time
from uuid import uuid4

from sloth_ci.cli.arguments import NO_WORD, WrongUsage, command, read_number, read_pages
from sloth_ci.cli.commands.shared import REFUSED, Commands
from sloth_ci.cli.options import APP, PAGES
from sloth_ci.cli.passwords import ask_secret
from sloth_ci.cli.samples import Push, provider_names, write_sample
from sloth_ci.render import printable
from sloth_ci.render.deliveries import show_deliveries, show_delivery, show_replay

_DELIVERY = "the delivery's number"
_ALL = "an app's listen point; all apps without it"


class PushCommands(Commands):
    """Look at what providers sent, try what they would send."""

    theme = "Pushes"

    @command(short="ftp", about={**PAGES, "listen_point": _ALL})
    def deliveries(
        self,
        listen_point: str = NO_WORD,
        from_page: str = "",
        to_page: str = "",
        per_page: str = "",
    ) -> None:
        """List what providers sent, and what came of it, the newest first."""
        pages = read_pages(from_page=from_page, to_page=to_page, per_page=per_page)
        client = self._connect()
        found = client.call("deliveries", listen_point=listen_point or None, **pages)["deliveries"]
        table = show_deliveries(self._screen().painter, found)
        self._screen().show(found, table if found else "No deliveries.")

    @command(about={"delivery": _DELIVERY})
    def delivery(self, delivery: str) -> None:
        """Show all about one delivery, rule by rule."""
        number = _read_delivery(delivery)
        found = self._connect().call("delivery", id=number)
        self._screen().show(found, show_delivery(self._screen().painter, found))

    @command(about={"delivery": _DELIVERY, "dry_run": "only tell what would come of it"})
    def replay(self, delivery: str, dry_run: bool = False) -> None:
        """Take a delivery once more, as if it came now."""
        number = _read_delivery(delivery)
        flag = "true" if dry_run else None
        answer = self._connect().call("replay", id=number, dry_run=flag)
        self._screen().show(answer, show_replay(self._screen().painter, answer))
        if answer["code"]:
            self.exit_code = REFUSED

    @command(
        short="brtmsw",
        about={
            "provider": f"who would send it: {', '.join(provider_names())}",
            "listen_point": APP,
            "branch": "the branch that would have been pushed (default: main)",
            "tag": "a tag instead of a branch",
            "repo": "the repository (default: sloth/sample)",
            "commit": "the commit, 40 hex digits (default: any)",
            "message": "the commit's message",
            "secret": "what the provider signs with (default: SLOTH_HOOK_SECRET, or it is asked"
            " for); a GitLab secret that starts with whsec_ is a signing token",
            "wait": "show the build's log until it ends; the exit code tells how",
            "dry_run": "only show what would be sent",
        },
    )
    def hook(
        self,
        provider: str,
        listen_point: str,
        branch: str = "",
        tag: str = "",
        repo: str = "sloth/sample",
        commit: str = "",
        message: str = "A sample push",
        secret: str = "",
        wait: bool = False,
        dry_run: bool = False,
    ) -> None:
        """Send an app a signed sample push, as its provider would."""
        push = _read_push(repo=repo, branch=branch, tag=tag, commit=commit, message=message)
        write_sample(provider, push, secret="")
        sample = write_sample(provider, push, secret=secret or ask_secret())
        if dry_run:
            value = {"headers": dict(sample.headers), "body": sample.body.decode()}
            heads = [printable(f"{name}: {text}") for name, text in sample.headers.items()]
            self._screen().show(value, "\n".join([*heads, "", printable(value["body"])]))
            return
        client = self._connect()
        answer = client.deliver(listen_point, body=sample.body, headers=sample.headers)
        built = answer.get("builds", [])
        if wait and len(built) == 1:
            self._conclude_queued(client, listen_point, {"build": built[0]}, wait=True)
            return
        reason = answer.get("reason", "")
        sentence = f"{listen_point} takes it: {_numbers(built)}." if built else reason
        self._screen().show(answer, printable(sentence or "It was taken, and makes no build."))


def _read_push(*, repo: str, branch: str, tag: str, commit: str, message: str) -> Push:
    """Raises WrongUsage."""
    owner, _, name = repo.rpartition("/")
    if not owner or not name:
        raise WrongUsage(f"--repo takes OWNER/REPO, not '{repo}'")
    if branch and tag:
        raise WrongUsage("a push is of a --branch or of a --tag, not of both")
    if commit and not re.fullmatch("[0-9a-f]{40}", commit):
        raise WrongUsage(f"--commit takes 40 hex digits, not '{commit}'")
    return Push(
        owner=owner,
        repo=name,
        branch="" if tag else branch or "main",
        tag=tag,
        commit=commit or token_hex(20),
        author="sci",
        message=message,
        delivery=str(uuid4()),
        moment=int(time()),
    )


def _numbers(builds: Iterable[int]) -> str:
    return ", ".join(f"build {number}" for number in builds)


def _read_delivery(word: str) -> int:
    number = read_number(word, name="DELIVERY")
    if number is None:
        raise WrongUsage("DELIVERY takes a whole number from 1, not ''")
    return number
