"""Load makes nothing worse: long work, slow readers, forgetting, bad neighbours, hostile crowds."""

from tests.faults.load import flood, mail, outsiders, readers, retention, siege, soak, timing

__all__ = ["flood", "mail", "outsiders", "readers", "retention", "siege", "soak", "timing"]
