"""E-mail by SMTP."""

import smtplib
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, getaddresses, make_msgid, parseaddr
from ipaddress import ip_address
from logging import WARNING
from pathlib import Path
from typing import Annotated, Any

from sloth_ci.config import (
    Filled,
    PathText,
    Seconds,
    SecretText,
    Section,
    Text,
    Texts,
    checked_by,
    one_of,
)
from sloth_ci.masking import escape_controls
from sloth_ci.outgoing import SendFailed, cut_after, trust
from sloth_ci.source import shorten

from .texts import Notice

#: The usual port of each kind of security (RFC 6409, RFC 8314).
_PORTS = {"starttls": 587, "tls": 465, "none": 25}


def read_address(value: Any) -> str:
    """An e-mail address, with or without a name before it."""
    if isinstance(value, str) and value.isprintable() and value.isascii():
        try:
            ((_name, address),) = getaddresses([value])
            read = Address(addr_spec=address)
        except (ValueError, HeaderParseError, IndexError):
            read = Address()
        if read.username and read.domain:
            return value
    shown = f"'{shorten(value)}'" if isinstance(value, str) else "this"
    raise ValueError(f"must be an e-mail address such as ci@example.org, not {shown}")


def read_port(value: Any) -> int:
    """A port's number."""
    port = int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else 0
    if not 0 < port < 65_536:
        raise ValueError("must be the number of a port, such as 587")
    return port


class MailOptions(Section):
    """How e-mail is sent, and to whom."""

    host: Filled
    #: 0 for the usual one of `security`.
    port: Annotated[int, checked_by(read_port)] = 0
    security: Annotated[str, one_of(*_PORTS)] = "starttls"
    login: Text = ""
    password: SecretText | None = None
    sender: Annotated[str, checked_by(read_address)]
    to: Texts
    #: For one whole exchange.
    timeout: Seconds = 20.0
    #: '' for the system's authorities.
    ca_file: PathText = ""

    def check(self) -> None:
        """Refuse what can't go together."""
        for address in self.to:
            try:
                read_address(address)
            except ValueError as error:
                raise ValueError(f"has a 'to' that can't be used: it {error}") from error
        if not self.to:
            raise ValueError("needs at least one address in 'to'")
        if bool(self.login) is not bool(self.password):
            raise ValueError("needs both 'login' and 'password', or neither")
        if self.login and self.security == "none" and not _is_here(self.host):
            raise ValueError("would send its password in the clear: 'security' must not be none")


class Mail:
    """Sends notices by e-mail. Raises ValueError for a `ca_file` that can't be used."""

    name = "e-mail"
    is_chat = False

    def __init__(self, options: MailOptions, *, base_dir: Path) -> None:
        self._options = options
        ca_file = base_dir / options.ca_file if options.ca_file else None
        self._tls = trust(ca_file) if options.security != "none" else None

    def send(self, notice: Notice, log: Callable[[int, str], None]) -> None:
        """Send it to all; raises SendFailed when it reaches nobody."""
        message = make_message(notice, sender=self._options.sender, to=self._options.to)
        smtp: list[smtplib.SMTP] = []
        try:
            with cut_after(self._options.timeout, lambda: smtp[0].sock if smtp else None):
                refused = self._exchange(message, smtp)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise self._failure(error) from error
        finally:
            for one in smtp:
                one.close()
        for address, (code, words) in refused.items():
            log(WARNING, f"the mail server refuses {address}: {code} {_read(words)}")

    def _exchange(
        self, message: EmailMessage, made: list[smtplib.SMTP]
    ) -> dict[str, tuple[int, bytes]]:
        """The recipients that the server refused, with its reasons."""
        options = self._options
        # Without a name the library looks for one in the DNS, and waits as long as that takes.
        name = _own_name()
        if options.security == "tls":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                timeout=options.timeout, local_hostname=name, context=self._tls
            )
        else:
            smtp = smtplib.SMTP(timeout=options.timeout, local_hostname=name)
        made.append(smtp)
        # It checks the certificate against this, which only its constructor sets.
        smtp._host = options.host  # type: ignore[attr-defined]
        smtp.connect(options.host, options.port or _PORTS[options.security])
        if options.security == "starttls":
            smtp.starttls(context=self._tls)
        if options.login and options.password:
            smtp.login(options.login, options.password)
        refused = smtp.send_message(message)
        # It is sent; a server that breaks off now must not make us send it again.
        with suppress(smtplib.SMTPException, OSError):
            smtp.quit()
        return refused

    def _failure(self, error: Exception) -> SendFailed:
        server = f"the mail server {self._options.host}"
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            code, words = next(iter(error.recipients.values()))
            return SendFailed(
                f"{server} refuses all recipients: {code} {_read(words)}", temporary=code < 500
            )
        if isinstance(error, smtplib.SMTPAuthenticationError):
            return SendFailed(f"{server} refuses the login", temporary=error.smtp_code < 500)
        if isinstance(error, smtplib.SMTPResponseException):
            answer = f"{error.smtp_code} {_read(error.smtp_error)}"
            permanent = 500 <= error.smtp_code < 600
            return SendFailed(f"{server} answered {answer}", temporary=not permanent)
        if isinstance(error, smtplib.SMTPNotSupportedError):
            return SendFailed(f"{server} lacks something: {error}", temporary=False)
        if isinstance(error, ssl.SSLCertVerificationError):
            reason = f"has a certificate that is not trusted: {error.verify_message}"
            return SendFailed(f"{server} {reason}", temporary=False)
        if isinstance(error, smtplib.SMTPServerDisconnected | TimeoutError):
            seconds = self._options.timeout
            return SendFailed(f"{server} broke off, or took more than {seconds:g} s")
        reason = getattr(error, "strerror", None) or str(error)
        return SendFailed(f"{server} can't be used: {escape_controls(reason)}")


def make_message(notice: Notice, *, sender: str, to: tuple[str, ...]) -> EmailMessage:
    """The notice as an e-mail (RFC 5322)."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Subject"] = notice.subject
    message["Date"] = formatdate(localtime=False)
    message["Message-ID"] = make_msgid(domain=parseaddr(sender)[1].rpartition("@")[2])
    # Keeps holiday answers away (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(notice.body, cte="quoted-printable")
    return message


def _own_name() -> str:
    name = socket.gethostname()
    return name if name.isascii() and name.isprintable() and name else "localhost"


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read(words: bytes | str) -> str:
    text = words.decode(errors="replace") if isinstance(words, bytes) else words
    return escape_controls(" ".join(text.split()))[:200]
