"""Accepted means durable: what a killed, stopped, restarted or powerless server keeps."""

from tests.faults.durability import (
    configs,
    endings,
    kills,
    output,
    power,
    repetition,
    restarts,
    wake_ups,
)

__all__ = [
    "configs",
    "endings",
    "kills",
    "output",
    "power",
    "repetition",
    "restarts",
    "wake_ups",
]
