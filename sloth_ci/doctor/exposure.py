"""Who reaches the server, over what, and with whose rights builds run."""

import os
import ssl
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from pwd import getpwuid

from sloth_ci.config import ServerConfig
from sloth_ci.doctor.configs import ReadApp, name_some
from sloth_ci.doctor.findings import Finding, ok, refuse, warn
from sloth_ci.errors import SlothError
from sloth_ci.web.origin import is_loopback
from sloth_ci.web.tls import open_tls

#: Days before its end that a certificate should be renewed.
SOON = 14
#: OpenSSL's numbers for a certificate outside its time (X509_V_ERR_...).
_NOT_YET_VALID, _EXPIRED = 9, 10


def check_address(config: ServerConfig) -> Finding:
    """Whether others can reach the API without a login."""
    if is_loopback(config.host):
        return ok("address", f"Only this machine reaches {config.host}")
    if not config.api_auth:
        return refuse(
            "address",
            f"Others can reach {config.host}, and there is no 'api_auth', so the server won't"
            " start: set a login, or use host 127.0.0.1",
        )
    return ok("address", f"Others can reach {config.host}; the API wants a login")


def check_tls(config: ServerConfig, now: float) -> Finding:
    """Whether logins travel in the clear, and whether the certificate can be used."""
    if config.tls is None:
        if is_loopback(config.host):
            return ok("TLS", "Not needed: nothing leaves this machine")
        return warn(
            "TLS",
            f"Logins and secrets travel in the clear to {config.host}: set 'tls', or use host"
            " 127.0.0.1 behind a proxy that speaks HTTPS",
        )
    certificate, key = config.path(config.tls.certificate), config.path(config.tls.key)
    try:
        end = _find_end(open_tls(certificate, key), certificate)
    except SlothError as error:
        return refuse("TLS", error.message)
    except ssl.SSLCertVerificationError as error:
        words = {_EXPIRED: "has expired: renew it", _NOT_YET_VALID: "is not valid yet"}
        reason = words.get(error.verify_code, f"is refused: {error.verify_message}")
        return refuse("TLS", f"The certificate {certificate} {reason}")
    except ssl.SSLError as error:
        return refuse("TLS", f"The certificate {certificate} can't be used: {error.reason}")
    days = (end - now) / 86_400
    date = f"{datetime.fromtimestamp(end, UTC):%Y-%m-%d}"
    if days < 0:
        return refuse("TLS", f"The certificate {certificate} expired on {date}: renew it")
    if days < SOON:
        return warn("TLS", f"The certificate {certificate} ends on {date}: renew it, and restart")
    return ok("TLS", f"The certificate is good until {date}")


def check_user(config: ServerConfig, apps: Iterable[ReadApp]) -> Finding:
    """Whether builds run as root."""
    user = _server_user(config)
    if user != 0:
        return ok("user", f"Builds run as {_name(user)}, or as the app's own 'user'")
    exposed = [app.config.listen_point for app in apps if app.config.user is None]
    if not exposed:
        return ok("user", "The server runs as root, and every app has a 'user' for its builds")
    return warn(
        "user",
        "Builds run as root: run the server as somebody else, or give a 'user' to"
        f" {name_some(exposed)}",
    )


def _server_user(config: ServerConfig) -> int:
    """Whose the database is; before the first start, who runs this."""
    database = config.path(config.paths.db) if config.paths.db else None
    return database.stat().st_uid if database and database.exists() else os.geteuid()


def _name(user: int) -> str:
    try:
        return getpwuid(user).pw_name
    except KeyError:
        return f"the user {user}"


def _find_end(server: ssl.SSLContext, certificate: Path) -> float:
    """When the certificate ends, in seconds since the epoch, learnt by a handshake in memory.

    Raises ssl.SSLError.
    """
    client = ssl.create_default_context(cafile=str(certificate))
    client.check_hostname = False
    # The certificate itself is trusted here, whoever signed it.
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(back, there)
    answering = server.wrap_bio(there, back, server_side=True)
    for _turn in _take_turns(asking, answering):
        if asking.version() and asking.getpeercert():
            break
    found = asking.getpeercert() or {}
    return float(ssl.cert_time_to_seconds(str(found["notAfter"])))


def _take_turns(*sides: ssl.SSLObject) -> Iterator[None]:
    for _round in range(10):
        for side in sides:
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
            yield
