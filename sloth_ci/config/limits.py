"""What an app's actions may take, as its config says."""

from typing import Annotated

from pydantic import PlainValidator

from sloth_ci.builds import Limits
from sloth_ci.config.fields import OptionalSize, Section, optional, whole_number


class LimitsSection(Section):
    """The limits of one action's processes; none where a key is left out."""

    processes: Annotated[int | None, PlainValidator(optional(whole_number(1, 1_000_000)))] = None
    memory: OptionalSize = None
    #: Seconds of processor time.
    cpu: Annotated[int | None, PlainValidator(optional(whole_number(1, 10**9)))] = None
    file_size: OptionalSize = None
    open_files: Annotated[int | None, PlainValidator(optional(whole_number(16, 1_000_000)))] = None

    @property
    def granted(self) -> Limits:
        """The limits as a build carries them."""
        return Limits(
            processes=self.processes,
            memory=self.memory,
            cpu=self.cpu,
            file_size=self.file_size,
            open_files=self.open_files,
        )
