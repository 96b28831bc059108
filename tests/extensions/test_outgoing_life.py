"""What a real server sends, and that nothing outside holds it up."""

import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from tests.calls import Api, wait_until
from tests.conftest import RunningServer
from tests.sinks import Sink, open_sink

Launch = Callable[..., RunningServer]

WEBHOOKS = """
listen_point: web
actions: [echo hi]
extensions:
  hooks: {{module: webhooks, url: "{url}/hook", secret: some-text, private: true}}
"""


def open_api(server: RunningServer) -> Api:
    return Api(server.url, server.login)


def types(sink: Sink) -> list[str]:
    return [one.value["type"] for one in sink.came]


def test_events_arrive_in_order_from_a_real_server(launch: Launch) -> None:
    with open_sink() as sink:
        api = open_api(launch())
        listen_point = api.create(WEBHOOKS.format(url=sink.url))
        api.wait_for_build(listen_point, api.trigger(listen_point, branch="main"))
        api("update", listen_point="web", config_string=WEBHOOKS.format(url=sink.url))
        assert api("remove", listen_point="web").status == 204

        builds = ["build.queued", "build.started", "build.finished"]
        sink.wait_for(6)
        assert types(sink) == ["app.created", *builds, "app.updated", "app.removed"]


def test_what_waits_is_delivered_after_a_crash_with_the_same_id(
    launch: Launch, tmp_path: Path
) -> None:
    with open_sink(answers=[503]) as sink:
        server = launch()
        api = open_api(server)
        api.create(WEBHOOKS.format(url=sink.url))
        sink.wait_for(1)
        waiting = "waiting"
        wait_until(
            lambda: (
                [
                    (one["state"], one["attempts"])
                    for one in api("webhook_log", listen_point="web").value
                ]
                == [(waiting, 1)]
            )
        )
        server.signal(signal.SIGKILL)
        server.wait()

        launch(tmp_path)

        first, second = sink.wait_for(2)
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert first.body == second.body


def test_a_start_tells_of_no_app_as_a_new_one(launch: Launch, tmp_path: Path) -> None:
    with open_sink() as sink:
        server = launch()
        open_api(server).create(WEBHOOKS.format(url=sink.url))
        sink.wait_for(1)
        server.stop()

        api = open_api(launch(tmp_path))
        api.wait_for_build("web", api.trigger("web"))

        sink.wait_for(4)
        assert types(sink).count("app.created") == 1


def test_a_mail_server_that_hangs_holds_up_nothing(launch: Launch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        hanging.settimeout(20)
        config = f"""
listen_point: web
actions: ["false"]
extensions:
  mail:
    module: notifications
    email:
      host: 127.0.0.1
      port: {hanging.getsockname()[1]}
      security: none
      sender: ci@example.org
      to: ann@example.org
      timeout: 600
"""
        server = launch()
        api = open_api(server)
        api.create(config)
        first = api.trigger("web")
        connection, _address = hanging.accept()
        with connection:
            # It waits for a greeting from here on, and gets none.
            later = [api.trigger("web") for _ in range(3)]
            for build in (first, *later):
                assert api.wait_for_build("web", build)["message"] == "Failed (0/1)"

            server.signal(signal.SIGTERM)
            assert server.wait() == 0


def test_a_mail_server_that_is_not_there_changes_no_build(launch: Launch) -> None:
    config = """
listen_point: web
actions: ["true"]
extensions:
  mail:
    module: notifications
    on: [complete]
    email: {host: 127.0.0.1, port: 9, security: none, sender: a@b.c, to: a@b.c}
"""
    api = open_api(launch())
    api.create(config)

    assert api.wait_for_build("web", api.trigger("web"))["message"] == "Complete (1/1)"

    (answer,) = api("notify", listen_point="web").value
    assert answer["sent"] is False
    assert "Connection refused" in answer["problem"]


def test_bad_options_refuse_the_app_with_the_line(launch: Launch) -> None:
    config = WEBHOOKS.format(url="https://example.org").replace("private", "privat")

    reply = open_api(launch())("create", config_string=config)

    assert reply.status == 500
    message = json.loads(reply.body)["error"]["message"]
    assert "line 5" in message
    assert "Did you mean 'private'?" in message
