"""CherryPy's HTTP server, with a vestibule in front and a strict reading of what arrives."""

import os
import selectors
import socket
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Timer
from time import monotonic
from typing import Any

from cheroot.server import HTTPConnection, HTTPRequest
from cheroot.workers.threadpool import WorkerThread
from cherrypy._cpwsgi_server import CPWSGIServer

from sloth_ci.config import ServerConfig
from sloth_ci.errors import BadRequest, SlothError, Unavailable
from sloth_ci.parameters import Stream
from sloth_ci.web.crowd import Crowd
from sloth_ci.web.follower import Follower
from sloth_ci.web.followers import Followers, Subscribe
from sloth_ci.web.head import END, Head, find_head, read_head
from sloth_ci.web.inbox import GRACE, PIECE, Body, ChunkedBody, Inbox, Outbox
from sloth_ci.web.porter import Find, Porter, find_none
from sloth_ci.web.vestibule import LOG, Vestibule
from sloth_ci.web.visitor import Stage, Visitor
from sloth_ci.web.wsgi import FOLLOW, SERVER_NAME, note_refusal, render_refusal


def never_told(_callback: Callable[[], None]) -> Callable[[], None]:
    """Tell of no commit: streams are asked for more every second."""
    return lambda: None


class WireRequest(HTTPRequest):
    """A request whose head has arrived and was read."""

    def __init__(self, server: Any, conn: Any) -> None:
        super().__init__(server, conn, proxy_mode=True)

    def parse_request(self) -> None:
        """Take over what the vestibule has read."""
        head: Head = self.conn.head
        self.scheme = b"https" if self.server.tls else b"http"
        self.authority = head.headers.get(b"Host", b"")
        self.method, self.uri = head.method, head.target
        self.path, self.qs = head.path, head.query
        self.request_protocol = b"HTTP/1.%d" % head.minor
        self.response_protocol = f"HTTP/1.{head.minor}"
        self.inheaders = head.headers
        self.close_connection = not head.stays
        self.chunked_read = head.chunked
        self.started_request = self.ready = True

    def respond(self) -> None:
        """Call the endpoint and send its answer."""
        conn, head = self.conn, self.conn.head
        conn.rfile.begin()
        conn.wfile.hold()
        outbox = conn.wfile if head.waits and not conn.went_ahead else None
        if head.chunked:
            self.rfile = ChunkedBody(conn.rfile, go_ahead_by=outbox)
        else:
            self.rfile = Body(conn.rfile, head.length, go_ahead_by=outbox)
        gateway = self.server.gateway(self)
        gateway.env[FOLLOW] = self._follow
        gateway.respond()
        self.ensure_headers_sent()
        if self.chunked_write and not conn.follower:
            conn.wfile.write(b"0\r\n\r\n")
        conn.wfile.flush()
        self.rfile.drop()
        if conn.follower:
            conn.follower.begin(chunked=self.chunked_write)

    def send_headers(self) -> None:
        """Send the answer's head; where more of the body would come, the connection ends."""
        if not self.rfile.is_here:
            self.close_connection = self.conn.is_unread = True
        super().send_headers()

    def simple_response(self, status: Any, msg: Any = "") -> None:
        """Answer for a fault in the server itself, and end the connection."""
        self.close_connection = True
        self.conn.tell(SlothError())

    def _follow(self, stream: Stream) -> None:
        """Let the connection be given to the followers once the answer's head is sent.

        Raises Unavailable.
        """
        self.server.followers.admit(self.conn)
        self.close_connection = True
        self.conn.follower = Follower(self.conn, stream)


class WireConnection(HTTPConnection):
    """A connection, as cheroot's threads and the vestibule want it."""

    RequestHandlerClass = WireRequest

    def __init__(self, server: "WireServer", sock: socket.socket, host: str, port: int) -> None:
        # Cheroot's own makes files, which read too much, and caches for things that nobody asks.
        self.server = server
        self.socket = sock
        self.remote_addr, self.remote_port = host, port
        self.rfile, self.wfile = Inbox(sock), Outbox(sock)
        self.requests_seen = 0
        self.stage = Stage.GREETING if server.tls else Stage.ARRIVING
        self.deadline = monotonic() + GRACE
        self.head: Head | None = None
        #: Of the live answer that goes out here.
        self.follower: Follower | None = None
        self.went_ahead = self.waiting = self.seated = False
        #: The client may be sending what nobody reads.
        self.is_unread = False
        self._is_cut = False
        self.rest: Callable[[], None] | None = None

    def communicate(self) -> bool:
        """Answer the request, or do the rest of that; whether the connection stays."""
        if self.rest is None:
            return bool(super().communicate())  # type: ignore[no-untyped-call]
        assert self.head
        rest, self.rest = self.rest, None
        try:
            rest()
        except OSError:
            return False
        return self.head.stays

    def greet(self) -> int:
        """Go on with the TLS handshake.

        Gives the event to wait for, 0 when it is done. Raises OSError.
        """
        assert isinstance(self.socket, ssl.SSLSocket)
        try:
            self.socket.do_handshake()
        except ssl.SSLWantReadError:
            return selectors.EVENT_READ
        except ssl.SSLWantWriteError:
            return selectors.EVENT_WRITE
        except ssl.SSLError as error:
            if error.reason == "HTTP_REQUEST":
                refusal = BadRequest(reason="this port speaks HTTPS; use https:// in the address.")
                os.write(self.socket.fileno(), render_refusal(refusal))
            raise
        return 0

    def read_head(self) -> Head | None:
        """The head, None while it isn't whole.

        Raises BadRequest or HeadTooLarge.
        """
        arrived = self.rfile.arrived
        if arrived.startswith(b"\r\n"):
            del arrived[:2]  # some old clients end a body so, RFC 9112, section 2.2
        end = find_head(arrived)
        if end < 0:
            return None
        block = bytes(arrived[:end])
        del arrived[: end + len(END)]
        return read_head(block)

    def tell(self, error: SlothError) -> None:
        """Send why the request is refused, if that can be done at once."""
        message = render_refusal(error)
        note_refusal(self.remote_addr, error)
        self.is_unread = True
        self.wfile.send_at_once(message)

    def end_sending(self) -> None:
        """Let the client see the end of what it gets.

        Raises OSError.
        """
        if isinstance(self.socket, ssl.SSLSocket):
            self.socket.settimeout(0)
            with suppress(OSError, ValueError):
                self.socket.unwrap()
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End the connection after an answer, or let its live answer go on elsewhere.

        It ends politely, where the client may be sending still.
        """
        if self.follower and self.follower.is_ready:
            self.server.let_follow(self, self.follower)
        elif self.is_unread:
            self.server.see_out(self)
        else:
            self.cut()

    def cut(self) -> None:
        """End the connection now."""
        if self._is_cut:
            return
        self._is_cut = True
        self.rfile.close()
        with suppress(OSError):
            self.end_sending()
        self.socket.close()
        self.server.let_go(self)


class WireServer(CPWSGIServer):  # type: ignore[misc]  # cherrypy has no types
    """CherryPy's server on a socket that listens already."""

    ConnectionClass = WireConnection

    def __init__(
        self,
        listening: socket.socket,
        config: ServerConfig,
        *,
        tls: ssl.SSLContext | None = None,
        subscribe: Subscribe = never_told,
        find_desk: Find = find_none,
    ) -> None:
        super().__init__()
        # Cherrypy's own puts its kind of request here.
        self.ConnectionClass.RequestHandlerClass = WireRequest
        self.bind_addr = listening.getsockname()[:2]
        self._connections: Any = None
        self.server_name = SERVER_NAME
        self.tls = tls
        self._listening = listening
        self._max_body = max(config.max_delivery, config.max_request)
        self._crowd = Crowd(
            total=config.max_connections,
            per_address=config.max_connections_per_address,
            trusted=config.trusted_proxies,
        )
        self._max_followers = config.max_followers
        self._subscribe = subscribe
        self._config = config
        self._find_desk = find_desk

    def prepare(self) -> None:
        """Get ready to serve."""
        super().prepare()
        self._connections.close()
        self._connections = Vestibule(
            self.socket,
            max_body=self._max_body,
            admit=self._admit,
            hand_over=self._hand_over,
            attend=self._attend,
            has_guests=self._has_guests,
        )
        self._porter = Porter(
            self._config,
            find=self._find_desk,
            put_back=self._connections.put,
            hand_on=self.requests.put,
            wake=self._connections.wake,
        )
        self.followers = Followers(
            most=self._max_followers,
            subscribe=self._subscribe,
            see_out=self._connections.see_out,
        )

    def bind(self, family: int, type: int, proto: int = 0) -> socket.socket:  # noqa: A002
        """Serve on the socket that listens already."""
        self.socket = self._listening
        with suppress(OSError):
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.socket

    def stop(self) -> None:
        """Stop serving; whoever does not read its answer does not hold that up."""
        if not self.ready:
            return
        workers = list(self.requests._threads)
        last = Timer(self.shutdown_timeout, _cut_answers, [workers])
        last.daemon = True
        last.start()
        self.followers.stop()
        try:
            super().stop()
        finally:
            self._porter.stop()
            last.cancel()
            self.followers.join()

    def see_out(self, conn: WireConnection) -> None:
        """End a connection on which something may be coming still."""
        if self.ready:
            self._connections.see_out(conn)
        else:
            conn.cut()

    def let_follow(self, conn: WireConnection, follower: Follower) -> None:
        """Let a live answer go on elsewhere."""
        self._connections.give_up_seat(conn)
        self.followers.take(follower)

    def let_go(self, conn: WireConnection) -> None:
        """Note that a connection has ended."""
        self._connections.give_up_seat(conn)
        self.followers.leave(conn)
        self._crowd.leave(conn.remote_addr)

    def error_log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:
        """Take note of trouble with a connection."""
        LOG.log(level, "%s", msg, exc_info=traceback)

    def _attend(self, now: float) -> bool:
        return self._porter.attend(now)

    def _has_guests(self) -> bool:
        return self._porter.has_guests

    def _hand_over(self, visitor: Visitor) -> None:
        if not self._porter.take(visitor):
            self.requests.put(visitor)

    def _admit(self, sock: socket.socket, host: str, port: int) -> WireConnection | None:
        sock.settimeout(0)
        if not self._crowd.admit(host):
            self._turn_away(sock, host)
            return None
        if self.tls:
            sock = self.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return WireConnection(self, sock, host, port)

    def _turn_away(self, sock: socket.socket, host: str) -> None:
        error = Unavailable(reason="too many connections are open")
        note_refusal(host, error)
        with suppress(OSError):
            if not self.tls:
                sock.send(render_refusal(error))
                sock.shutdown(socket.SHUT_WR)
                sock.recv(PIECE)  # unread bytes would make the system drop the answer
        sock.close()


def _cut_answers(workers: Iterable[WorkerThread]) -> None:
    for worker in workers:
        if worker.conn is not None:
            with suppress(OSError):
                worker.conn.socket.shutdown(socket.SHUT_RDWR)
