"""Extensions that can't be used."""

from sloth_ci.extension import Extension, hook


class Misspelt(Extension):
    """Listens to what never happens."""

    for_server = True

    @hook
    def build_ended(self) -> None: ...


class Broken(Extension):
    """Can't be made."""

    for_server = True

    def __init__(self, options: object, context: object) -> None:
        raise ZeroDivisionError("no reason")


NOT_AN_EXTENSION = "text"
