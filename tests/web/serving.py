"""The web server in this process, for tests that look at connections."""

import socket
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import Any

from sloth_ci.config import parse_server
from sloth_ci.web.wire import WireServer

PATIENCE = 45


class Serving:
    """A server that answers by a WSGI callable, until it is closed."""

    def __init__(self, site: Any, config: str, *, most: int = 100, **options: Any) -> None:
        listening = socket.create_server(("127.0.0.1", 0), backlog=most)
        self.address = listening.getsockname()
        parsed = parse_server(config, base_dir=Path(__file__).parent / "tls")
        self.server = WireServer(listening, parsed, **options)
        self.server.wsgi_app = site
        self.server.shutdown_timeout = 1
        self.server.request_queue_size = most
        self.server.prepare()
        self.thread = Thread(target=self.server.serve)
        self.thread.start()
        #: What is closed with it.
        self.opened = ExitStack()

    def connect(self) -> socket.socket:
        """A connection that ends with the server."""
        connection = socket.create_connection(self.address, timeout=PATIENCE)
        return self.opened.enter_context(connection)

    def stop(self) -> None:
        """End the server, and leave the connections."""
        self.server.stop()
        self.thread.join()

    def close(self) -> None:
        """End the server and all connections."""
        self.stop()
        self.opened.close()
