"""The API document's examples, typed at a prompt: real `curl`, in the document's order."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.contract.api import Api, wait_until

CONFIG = "listen_point: {}\r\n\r\nactions:\r\n  - echo {{spam}}\r\n  - 'false'\r\n"
PATIENCE = "20"


@dataclass(frozen=True, slots=True)
class Said:
    """What curl says of an answer."""

    status: int
    #: Bytes of content.
    size: int
    content_type: str
    content: str

    @property
    def empty(self) -> bool:
        """Whether there was no content at all."""
        return (self.size, self.content, self.content_type) == (0, "", "")

    @property
    def json(self) -> Any:
        """The content's JSON value."""
        assert self.content_type == "application/json"
        return json.loads(self.content)


Curl = Callable[[Api, str], Said]


def get(api: Api, query: str) -> Said:
    """`curl 'http://host:port/?query'`."""
    return run_curl(api, f"{api.url}/?{query}")


def post(api: Api, query: str) -> Said:
    """`curl --data query http://host:port/`."""
    return run_curl(api, "--data", query, f"{api.url}/")


BY = pytest.mark.parametrize("curl", [get, post], ids=["GET", "POST"])


def run_curl(api: Api, *arguments: str) -> Said:
    """Run curl with the API's login."""
    assert api.login
    told = "\n%{http_code} %{size_download} %{content_type}"
    command = ["curl", "--silent", "--max-time", PATIENCE, "--user", ":".join(api.login)]
    done = subprocess.run(
        [*command, "--write-out", told, *arguments], capture_output=True, text=True, check=True
    )
    content, _, line = done.stdout.rpartition("\n")
    status, size, content_type = line.split(" ", 2)
    return Said(int(status), int(size), content_type, content)


@BY
def test_an_apps_life(api: Api, curl: Curl, listen_point: str) -> None:
    text = quote(CONFIG.format(listen_point), safe="")

    created = curl(api, f"action=create&config_string={text}")
    assert (created.status, created.json) == (201, listen_point)
    assert curl(api, f"action=create&config_string={text}").status == 409
    assert curl(api, "action=create&config_string=listen_point%3A+%5B").status == 500
    assert curl(api, "action=create").status == 400

    triggered = curl(api, f"action=trigger&listen_point={listen_point}&spam=eggs")
    assert (triggered.status, triggered.empty) == (202, True)
    assert curl(api, "action=trigger").status == 400
    assert curl(api, f"action=trigger&listen_point={listen_point}-none").status == 404

    look = f"action=history&listen_point={listen_point}"
    wait_until(lambda: len(curl(api, look).json) == 2, "the end of the build")

    removed = curl(api, f"action=remove&listen_point={listen_point}")
    assert (removed.status, removed.empty) == (204, True)
    assert curl(api, f"action=remove&listen_point={listen_point}").status == 404
    assert curl(api, "action=remove").status == 400


@BY
def test_binding_an_app(api: Api, curl: Curl, listen_point: str, folder: Path) -> None:
    file = folder / "bar.yml"
    file.write_text(CONFIG.format(listen_point))
    path = quote(str(file), safe="")
    wanted = f"action=bind&listen_point={listen_point}&config_file={path}"
    assert curl(api, wanted).status == 404
    assert api.call("create", config_string=CONFIG.format(listen_point)).status == 201
    bound = curl(api, wanted)
    assert (bound.status, bound.empty) == (200, True)
    assert curl(api, f"{wanted}.none").status == 404
    file.write_text(f"listen_point: {listen_point}")
    assert curl(api, wanted).status == 500


@BY
def test_looking_at_apps(api: Api, curl: Curl, listen_point: str) -> None:
    spam, eggs = f"{listen_point}/spam", f"{listen_point}/eggs"
    for name in (spam, eggs):
        assert api.call("create", config_string=CONFIG.format(name)).status == 201
    api.build(spam, spam="ham")

    infos = curl(
        api, f"action=info&{urlencode([('listen_points', spam), ('listen_points', eggs)])}"
    )
    assert infos.status == 200
    told = {one["listen_point"]: one for one in infos.json}
    assert set(told) == {spam, eggs}
    assert told[spam]["last_build_status"] == "Partially complete (1/2)"
    assert told[spam]["config_file"] is None
    assert curl(api, "action=info").status == 200
    assert curl(api, f"action=info&listen_points={listen_point}").status == 404

    logs = curl(api, f"action=logs&listen_point={spam}&from_page=1&per_page=20&level=40")
    assert (logs.status, [one["level_name"] for one in logs.json]) == (200, ["ERROR"])
    logs = curl(api, f"action=logs&listen_point={spam}&from_page=2&per_page=20&level=40")
    assert (logs.status, logs.json) == (200, [])

    history = curl(api, f"action=history&listen_point={spam}&from_page=2&per_page=1")
    assert history.status == 200
    assert [one["message"] for one in history.json] == ["Triggered, actions in queue: 2"]
    assert history.json[0]["logger_name"] == f"{spam}.build"
    history = curl(api, f"action=history&listen_point={spam}&from_page=2&per_page=20")
    assert (history.status, history.json) == (200, [])


def test_restarting_and_stopping(launch_own: Callable[..., Api]) -> None:
    api = launch_own()
    assert api.process
    log = api.process.folder / "sloth_error.log"
    restarted = get(api, "action=restart")
    assert (restarted.status, restarted.empty) == (202, True)
    wait_until(lambda: log.read_text().count("listens on") == 2, "the restart")
    stopped = post(api, "action=stop")
    assert (stopped.status, stopped.empty) == (202, True)
    assert api.process.wait() == 0


def test_a_form_of_several_parts(api: Api, listen_point: str) -> None:
    text = CONFIG.format(listen_point)
    said = run_curl(api, "-F", "action=create", "-F", f"config_string={text}", f"{api.url}/")
    assert (said.status, said.json) == (201, listen_point)


def test_a_json_object(api: Api, listen_point: str) -> None:
    body = json.dumps({"action": "create", "config_string": CONFIG.format(listen_point)})
    kind = "Content-Type: application/json"
    said = run_curl(api, "--header", kind, "--data-binary", body, f"{api.url}/")
    assert (said.status, said.json) == (201, listen_point)


def test_without_the_login(api: Api) -> None:
    said = run_curl(Api(api.url, ("nobody", "nothing")), f"{api.url}/?action=stop")
    assert (said.status, said.json["error"]["code"]) == (401, "login_required")
