"""Lists in parts: pages by number, as the contract has them, and cursors for what is long."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sloth_ci.errors import BadParam
from sloth_ci.parameters import Kind, Parameter

#: Things that one answer holds at most.
MOST = 10_000
#: Bytes of text that one answer holds at most.
MOST_BYTES = 10_000_000

PAGES = (
    Parameter("from_page", "first page to get", kind=Kind.NUMBER, default=1),
    Parameter("to_page", "last page to get; from_page if not given", kind=Kind.NUMBER),
    Parameter("per_page", "how many are on a page", kind=Kind.NUMBER, default=10),
)
BEFORE = Parameter("before", "only what came before this one: the `next` of an answer", Kind.CURSOR)


@dataclass(frozen=True, slots=True)
class Part:
    """What of a list is wanted."""

    skip: int
    most: int


def read_pages(from_page: int, to_page: int | None, per_page: int) -> Part:
    """The part that those pages are.

    Raises BadParam.
    """
    last = from_page if to_page is None else to_page
    if last < from_page:
        raise BadParam(param="to_page", wanted=f"at least from_page ({from_page})", came=last)
    most = (last - from_page + 1) * per_page
    if most > MOST:
        raise BadParam(param="per_page", wanted=f"at most {MOST} records in all", came=per_page)
    return Part((from_page - 1) * per_page, most)


def read_part(from_page: int, to_page: int | None, per_page: int, before: int | None) -> Part:
    """The part of a list that has a cursor too: what is far down is not reached by pages.

    Raises BadParam.
    """
    part = read_pages(from_page, to_page, per_page)
    if before is not None and part.skip:
        raise BadParam(param="from_page", wanted="left out where 'before' is given", came=from_page)
    if part.skip + part.most > MOST:
        wanted = f"within the first {MOST}; use 'before' to get further"
        raise BadParam(param="from_page", wanted=wanted, came=from_page)
    return part


def cut(found: Sequence[Any], most: int) -> tuple[Sequence[Any], int | None]:
    """What is shown of one more than `most`, and the cursor to what follows."""
    shown = found[:most]
    return shown, shown[-1].id if len(found) > most else None
