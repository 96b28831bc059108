"""The config of an app."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PlainValidator

from sloth_ci.builds import Action
from sloth_ci.config.fields import (
    Flag,
    ListenPoint,
    Names,
    OptionalSeconds,
    Secret,
    Section,
    Size,
    Text,
    came,
    read_names,
)
from sloth_ci.config.parsing import parse_section, read_document, refuse
from sloth_ci.source import Document, Tagged
from sloth_ci.template import TemplateRefused, check_value, compile_template

ALIASES = {"id": "listen_point", "name": "listen_point"}
TAGS = frozenset({"!critical", "!detach"})

#: The section of a provider's options, by the provider's name; raises LookupError with a sentence.
FindOptions = Callable[[str], type[Section]]


class Provider(Section):
    """Who pushes: a provider's name and its checked options."""

    name: str
    options: Section


def read_actions(value: Any) -> tuple[Action, ...]:
    """A list of commands, each a text, or a text tagged !critical or !detach."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ValueError(f"must be a list of commands, one '- ' line each, not {came(value)}")
    return tuple(_read_action(item, number) for number, item in enumerate(value, start=1))


def read_extensions(value: Any) -> dict[str, Any]:
    """Extensions by the names given to them."""
    names = read_names(value)
    for name, options in names.items():
        if not isinstance(options, dict) or not isinstance(options.get("module"), str):
            raise ValueError(f"'{name}' must be a mapping with the key 'module'")
    return names


class AppConfig(Section):
    """What an app is made of."""

    listen_point: ListenPoint
    provider: Provider | None = None
    actions: Annotated[tuple[Action, ...], PlainValidator(read_actions)] = ()
    params: Names = Field(default_factory=dict)
    env: Names = Field(default_factory=dict)
    work_dir: Text = "."
    #: Seconds for one action.
    exec_timeout: OptionalSeconds = None
    #: Seconds for a whole build.
    timeout: OptionalSeconds = None
    stop_on_first_fail: Flag = False
    #: Bytes of output kept of one build.
    max_output: Size = 16_000_000
    #: Run a build again when the server went down under it.
    rerun_interrupted: Flag = False
    extensions: Annotated[dict[str, Any], PlainValidator(read_extensions)] = Field(
        default_factory=dict
    )

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values among params and env that came from outside the config."""
        return tuple(
            value
            for values in (self.params, self.env)
            for value in values.values()
            if isinstance(value, Secret)
        )


def parse_app(
    text: str, *, base_dir: Path, find_options: FindOptions, file: str | None = None
) -> AppConfig:
    """Check an app's config text; relative paths in it count from `base_dir`.

    Raises ConfigInvalid, which names every problem with its line and column.
    """
    document = read_app_document(text, file=file)
    value = dict(document.data)
    if value.get("provider") is not None:
        value["provider"] = _parse_provider(
            document, find_options=find_options, base_dir=base_dir, file=file
        )
    config = parse_section(AppConfig, document, value=value, base_dir=base_dir, file=file)
    _check_values(config, document, file)
    return config


def read_app_document(text: str, *, file: str | None = None) -> Document:
    """An app's config text as plain data, unchecked but for its YAML."""
    return read_document(text, file=file, aliases=ALIASES, tags=TAGS)


def _parse_provider(
    document: Document, *, find_options: FindOptions, base_dir: Path, file: str | None
) -> Provider:
    value = document.data["provider"]
    if isinstance(value, str):
        value = {value: None}
    if not isinstance(value, dict) or len(value) != 1:
        sentence = f"'provider' must be one provider's name with its options, not {came(value)}"
        raise refuse(document, ("provider",), sentence, file=file)
    name, options = next(iter(value.items()))
    at = ("provider", name)
    try:
        section = find_options(name)
    except LookupError as error:
        raise refuse(document, at, str(error.args[0]), file=file) from error
    checked = parse_section(section, document, at=at, value=options, base_dir=base_dir, file=file)
    return Provider(name=name, options=checked)


def _read_action(item: Any, number: int) -> Action:
    tag, text = (item.tag, item.value) if isinstance(item, Tagged) else ("", item)
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"has no command at number {number}: wanted text, not {came(text)}")
    try:
        template = compile_template(text)
    except TemplateRefused as error:
        raise ValueError(f"has a command that can't run at number {number}: {error}") from error
    return Action(template, critical=tag == "!critical", detach=tag == "!detach")


def _check_values(config: AppConfig, document: Document, file: str | None) -> None:
    for name, value in config.params.items():
        try:
            check_value(name, value)
        except TemplateRefused as error:
            raise refuse(document, ("params", name), str(error), file=file) from error
    for name, value in config.env.items():
        if "\0" in value:
            sentence = f"'env.{name}' has a NUL character, which no environment can carry"
            raise refuse(document, ("env", name), sentence, file=file)
