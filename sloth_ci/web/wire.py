"""CherryPy's HTTP server, with errors of its own in the API's form."""

import json
import logging
import socket
from typing import Any

from cheroot.server import HTTPConnection, HTTPRequest
from cherrypy._cpwsgi_server import CPWSGIServer

LOG = logging.getLogger("sloth_ci.web")

_CODES = {
    "400": "bad_request",
    "405": "method_refused",
    "408": "request_timeout",
    "413": "body_too_large",
    "414": "bad_request",
    "501": "bad_request",
    "503": "unavailable",
    "505": "bad_request",
}


class JsonRequest(HTTPRequest):
    """A request whose refusal, before any app sees it, is JSON like every other."""

    def __init__(self, server: Any, conn: Any) -> None:
        super().__init__(server, conn, proxy_mode=True)

    def simple_response(self, status: Any, msg: Any = "") -> None:
        """Refuse the request and end the connection."""
        line = str(status)
        text = msg.decode("latin-1") if isinstance(msg, bytes) else str(msg)
        code = _CODES.get(line[:3], "server_error")
        sentence = f"{line[4:]}: {text}" if text else f"{line[4:]}."
        body = json.dumps({"error": {"code": code, "message": sentence, "details": {}}}).encode()
        self.close_connection = True
        head = (
            f"{self.server.protocol} {line}\r\nContent-Length: {len(body)}\r\n"
            "Content-Type: application/json\r\nConnection: close\r\n\r\n"
        )
        try:
            self.conn.wfile.write(head.encode("latin-1") + body)
        except OSError:
            return  # whoever sent it is gone already


class JsonConnection(HTTPConnection):
    """A connection of such requests."""

    RequestHandlerClass = JsonRequest


class WireServer(CPWSGIServer):  # type: ignore[misc]  # cherrypy has no types
    """CherryPy's server with such connections; what goes wrong in it goes to the log."""

    ConnectionClass = JsonConnection

    def __init__(self, listening: socket.socket) -> None:
        super().__init__()
        self.bind_addr = listening.getsockname()[:2]
        self._listening = listening

    def bind(self, family: int, type: int, proto: int = 0) -> socket.socket:  # noqa: A002
        """Serve on the socket that listens already."""
        self.socket = self._listening
        return self.socket

    def error_log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:
        """Take note of trouble with a connection."""
        LOG.log(level, "%s", msg, exc_info=traceback)
