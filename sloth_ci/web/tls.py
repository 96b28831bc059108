"""What HTTPS needs: a certificate, its key, and no version of TLS that is broken."""

import ssl
from pathlib import Path

from sloth_ci.errors import ConfigInvalid


def open_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """The server's side of TLS 1.2 and newer.

    Raises ConfigInvalid when the two files can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for file in (certificate, key):
        try:
            file.open("rb").close()
        except OSError as error:
            raise ConfigInvalid(text=f"'tls' can't read {file}: {error.strerror}") from error
    try:
        # An empty password instead of none: nobody is asked for one on the terminal.
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError) as error:
        raise ConfigInvalid(
            text=f"'tls' needs a certificate in PEM form and its own key without a password;"
            f" {certificate.name} and {key.name} are not: {getattr(error, 'reason', error)}"
        ) from error
    return context
