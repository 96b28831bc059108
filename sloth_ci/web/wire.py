"""CherryPy's HTTP server, behind a vestibule and with a strict reading of requests."""

import logging
import socket
import ssl
from typing import TYPE_CHECKING, Any

from cheroot.server import HTTPConnection, HTTPRequest
from cherrypy._cpwsgi_server import CPWSGIServer

from sloth_ci.config import ServerConfig
from sloth_ci.errors import BadRequest, SlothError
from sloth_ci.web.crowd import Crowd
from sloth_ci.web.head import END, Head, find_head, read_head
from sloth_ci.web.inbox import Body, ChunkedBody, Inbox, Outbox
from sloth_ci.web.vestibule import Vestibule
from sloth_ci.web.wsgi import note_refusal, render_raw

LOG = logging.getLogger("sloth_ci.web")
