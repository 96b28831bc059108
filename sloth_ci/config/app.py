"""The config of an app."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainValidator, SkipValidation, create_model

from sloth_ci.builds import Action
from sloth_ci.config.extensions import Extensions, FindOptions, check_extensions, find_secrets
from sloth_ci.config.fields import (
    Flag,
    ListenPoint,
    Names,
    OptionalFilled,
    OptionalSeconds,
    PathText,
    Section,
    Size,
)
from sloth_ci.config.limits import LimitsSection
from sloth_ci.config.parsing import Check, read_document
from sloth_ci.config.wording import came
from sloth_ci.source import Document, Tagged
from sloth_ci.template import TemplateRefused, check_value, compile_template

ALIASES = {"id": "listen_point", "name": "listen_point"}
TAGS = frozenset({"!critical", "!detach"})


@dataclass(frozen=True, slots=True)
class Provider:
    """Who pushes: a provider's name and its checked options."""

    name: str
    options: Section


def list_actions(value: Any) -> list[Any]:
    """A list of commands; nothing is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"must be a list of commands, one '- ' line each, not {came(value)}")
    return value


def read_action(value: Any) -> Action:
    """A command: a text, or a text tagged !critical or !detach."""
    tag, text = (value.tag, value.value) if isinstance(value, Tagged) else ("", value)
    if isinstance(text, dict):
        raise ValueError("must be a command, not a mapping (quote one that has ': ' in it)")
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"must be a command, not {came(text)}")
    try:
        template = compile_template(text)
    except TemplateRefused as error:
        raise ValueError(f"can't run: {error}") from error
    return Action(template, critical=tag == "!critical", detach=tag == "!detach")


class AppConfig(Section):
    """What an app is made of."""

    listen_point: ListenPoint
    provider: Annotated[Provider | None, SkipValidation] = None
    actions: Annotated[
        tuple[Annotated[Action, PlainValidator(read_action)], ...], BeforeValidator(list_actions)
    ] = ()
    params: Names = Field(default_factory=dict)
    env: Names = Field(default_factory=dict)
    work_dir: PathText = "."
    #: Seconds for one action.
    exec_timeout: OptionalSeconds = None
    #: Seconds for a whole build.
    timeout: OptionalSeconds = None
    stop_on_first_fail: Flag = False
    #: Bytes of output kept of one build.
    max_output: Size = 16_000_000
    #: What the kernel grants the processes of one action.
    limits: LimitsSection = LimitsSection()
    #: Whom builds run as; the server's own user when there is none.
    user: OptionalFilled = None
    #: Run a build again when the server went down under it.
    rerun_interrupted: Flag = False
    extensions: Extensions = Field(default_factory=dict)

    @property
    def further(self) -> Mapping[str, Any]:
        """What it says under the keys that `with_keys` added, without those it leaves out."""
        names = type(self).model_fields.keys() - AppConfig.model_fields.keys()
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets of extensions, and the values of params and env from outside the config."""
        return tuple(find_secrets((self.params, self.env, self.extensions, dict(self.further))))


def with_keys(keys: Mapping[str, Any]) -> type[AppConfig]:
    """The config of an app with further keys, each with its type: a section or a kind of value.

    Raises ValueError for a name that can't be a key.
    """
    for name in keys:
        if not name.isidentifier() or name.startswith("_") or hasattr(AppConfig, name):
            raise ValueError(f"'{name}' can't be a further key of apps' configs")
        if name in AppConfig.model_fields or name in ALIASES:
            raise ValueError(f"'{name}' is a key of apps' configs already")
    fields: dict[str, Any] = {name: (kind, None) for name, kind in keys.items()}
    return create_model("AppConfig", __base__=AppConfig, **fields) if fields else AppConfig


def parse_app(
    text: str,
    *,
    base_dir: Path,
    find_options: FindOptions,
    find_extension: FindOptions | None = None,
    kind: type[AppConfig] = AppConfig,
    file: str | None = None,
) -> AppConfig:
    """Check an app's config text; relative paths in it count from `base_dir`.

    `find_options` gives the options of providers, `find_extension` those of extensions, which stay
    unchecked without it. Raises ConfigInvalid, which names every problem with its line and column.
    """
    document = read_app_document(text, file=file)
    check = Check(document, base_dir=base_dir, file=file)
    value = dict(document.data)
    if value.get("provider") is not None:
        value["provider"] = _check_provider(check, value["provider"], find_options)
    if find_extension is not None and "extensions" in value:
        value["extensions"] = check_extensions(check, value["extensions"], find_extension)
    config = check.section(kind, value)
    if config is not None:
        _check_values(check, config)
    return check.finish(config)


def read_app_document(text: str, *, file: str | None = None) -> Document:
    """An app's config text as plain data, unchecked but for its YAML."""
    return read_document(text, file=file, aliases=ALIASES, tags=TAGS)


def _check_provider(check: Check, value: Any, find_options: FindOptions) -> Provider | None:
    if isinstance(value, str):
        value = {value: None}
    if not isinstance(value, dict) or len(value) != 1:
        what = f"{len(value)} of them" if isinstance(value, dict) else came(value)
        sentence = f"'provider' must be one provider's name with its options, not {what}"
        check.refuse(("provider",), sentence)
        return None
    name, options = next(iter(value.items()))
    at = ("provider", name)
    try:
        section = find_options(name)
    except LookupError as error:
        check.refuse(at, str(error.args[0]).rstrip("."))
        return None
    checked = check.section(section, options, at=at)
    return None if checked is None else Provider(name=name, options=checked)


def _check_values(check: Check, config: AppConfig) -> None:
    for key, values in (("params", config.params), ("env", config.env)):
        for name, value in values.items():
            try:
                check_value(name, value)
            except TemplateRefused as error:
                check.refuse((key, name), f"'{key}.{name}' can't be used: {error}".rstrip("."))
