"""Where a server is, and what makes a client believe that it is the right one."""

import hashlib
import ssl
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from sloth_ci.errors import SlothError


class BadUrl(SlothError):
    """The server's address must be a URL such as http://127.0.0.1:8080, not '{url}'."""


class BadCertificate(SlothError):
    """The file '{file}' has no certificate in PEM form, or can't be read."""


def split(url: str) -> SplitResult:
    """The parts of a server's address.

    Raises BadUrl.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError as error:
        raise BadUrl(url=url) from error
    if not usable or parts.query or parts.fragment:
        raise BadUrl(url=url)
    return parts


def trust(ca_file: str, certificate: str) -> dict[str, str]:
    """What makes urllib3 believe that it talks to the right server.

    Raises BadCertificate.
    """
    if not certificate:
        return {"ca_certs": ca_file} if ca_file else {}
    try:
        # The first in the file is the server's own.
        text = Path(certificate).read_text(encoding="ascii")
        first = text[text.index(ssl.PEM_HEADER) :].partition(ssl.PEM_FOOTER)
        data = ssl.PEM_cert_to_DER_cert("".join(first[:2]))
    except (OSError, ValueError) as error:
        raise BadCertificate(file=certificate) from error
    return {"assert_fingerprint": hashlib.sha256(data).hexdigest(), "cert_reqs": "CERT_NONE"}
