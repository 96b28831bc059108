"""Executors decide when and where a build runs; `builds.run_build` is what they run."""

from sloth_ci.executors.contract import Executor, Seat
from sloth_ci.executors.immediate import ImmediateExecutor
from sloth_ci.executors.run import BuildRun, MakeBuild, Prepare, Ready, Written
from sloth_ci.executors.threads import ThreadExecutor

__all__ = [
    "BuildRun",
    "Executor",
    "ImmediateExecutor",
    "MakeBuild",
    "Prepare",
    "Ready",
    "Seat",
    "ThreadExecutor",
    "Written",
]
