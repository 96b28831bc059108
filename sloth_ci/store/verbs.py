"""What every group of the store's verbs stands on."""

from sloth_ci.store.reader import Reader
from sloth_ci.store.writer import Writer


class Verbs:
    """Verbs that write by the one writer and ask by a reader."""

    _writer: Writer
    _reader: Reader
