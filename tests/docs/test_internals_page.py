"""The page about the inside tells the layers as the code has them."""

from tests.docs.pages import find_part, quoted
from tests.test_layers import LAYERS, ROOMS, room

PAGE = "docs/internals.md"
ROWS = find_part(PAGE, "Layers").table("Room")


def test_the_layers_are_told_from_the_ground_up() -> None:
    assert tuple(quoted(row[0])[0] for row in ROWS) == LAYERS


def test_each_outside_library_is_told_where_its_room_is() -> None:
    told = {(library, quoted(row[0])[0]) for row in ROWS for library in quoted(row[2])}

    assert told == {(library, room(place)) for library, places in ROOMS.items() for place in places}
