"""Load makes nothing worse: long work, slow readers, forgetting, bad neighbours, hostile crowds."""

from tests.faults.load import flood, outsiders, readers, retention, siege, soak

__all__ = ["flood", "outsiders", "readers", "retention", "siege", "soak"]
