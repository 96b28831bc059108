"""Places that requests are sent to, for tests: a local HTTP server that notes what came."""

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Condition, Event, Thread
from typing import Any

TLS = Path(__file__).parent / "web" / "tls"
PATIENCE = 45


@dataclass(frozen=True)
class Came:
    """One request as it arrived."""

    method: str
    path: str
    #: Names in lower case.
    headers: dict[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        """The JSON value in the body."""
        return json.loads(self.body)


@dataclass
class Sink:
    """Notes what came, and answers with the next of `answers`, and with 200 when none is left."""

    port: int = 0
    scheme: str = "http"
    #: A status, or a function that answers by itself.
    answers: list[int | Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    came: list[Came] = field(default_factory=list)
    changed: Condition = field(default_factory=Condition)
    #: Set when the test is over; whoever holds an answer back waits for it.
    over: Event = field(default_factory=Event)

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def wait_for(self, count: int) -> list[Came]:
        """What came, once it is that many requests."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.came) >= count, PATIENCE), self.came
            return list(self.came)


@contextmanager
def open_sink(*, tls: bool = False, **given: Any) -> Iterator[Sink]:
    """A sink that listens on a free port of the loopback address."""
    sink = Sink(scheme="https" if tls else "http", **given)

    class Receiver(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def receive(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with sink.changed:
                sink.came.append(Came(self.command, self.path, headers, body))
                answer = sink.answers.pop(0) if sink.answers else 200
                sink.changed.notify_all()
            if callable(answer):
                answer(self)
                self.close_connection = True
                return
            self.send_response(answer)
            for name, value in sink.headers.items():
                self.send_header(name, value)
            content = b"" if answer == 204 else sink.body
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = receive  # noqa: N815

        def log_message(self, *_values: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_values: Any) -> None:
            """Whoever broke off did so on purpose."""

    server = Server(("127.0.0.1", sink.port), Receiver)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(TLS / "certificate.pem", TLS / "key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    sink.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        sink.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def drip(sink: Sink, *parts: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer that sends the parts, and then a byte now and then until the test is over."""

    def answer(receiver: BaseHTTPRequestHandler) -> None:
        for part in parts:
            receiver.wfile.write(part)
        while not sink.over.wait(0.02):
            receiver.wfile.write(b"x")

    return answer
