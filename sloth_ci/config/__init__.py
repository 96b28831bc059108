"""Configs: YAML text to frozen, checked data; the only room of pydantic."""

from sloth_ci.config.app import AppConfig, Provider, parse_app, read_app_document, with_keys
from sloth_ci.config.extensions import Declared, FindOptions
from sloth_ci.config.fields import (
    Filled,
    Flag,
    Names,
    Networks,
    OptionalFilled,
    PageName,
    PathText,
    Seconds,
    Secrets,
    SecretText,
    Section,
    Size,
    Text,
    Texts,
    checked_by,
    one_of,
    whole_number,
)
from sloth_ci.config.parsing import refused_at
from sloth_ci.config.secret import Secret
from sloth_ci.config.server import DEFAULT_FILES, Login, ServerConfig, load_server, parse_server

__all__ = [
    "DEFAULT_FILES",
    "AppConfig",
    "Declared",
    "Filled",
    "FindOptions",
    "Flag",
    "Login",
    "Names",
    "Networks",
    "OptionalFilled",
    "PageName",
    "PathText",
    "Provider",
    "Seconds",
    "Secret",
    "SecretText",
    "Secrets",
    "Section",
    "ServerConfig",
    "Size",
    "Text",
    "Texts",
    "checked_by",
    "load_server",
    "one_of",
    "parse_app",
    "parse_server",
    "read_app_document",
    "refused_at",
    "whole_number",
    "with_keys",
]
