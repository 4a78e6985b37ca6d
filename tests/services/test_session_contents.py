"""What program versions prescribe is kept in the process: which is found, and which makes room."""

from uuid import UUID, uuid4

import orjson

from clinical.prescription import PhaseSpan
from services.sessions.contents import Content, Contents, read

CLINIC, OTHER = uuid4(), uuid4()


def content(*items: UUID) -> Content:
    phase = str(uuid4())
    rows = [{"id": str(item), "phase_id": phase, "sets": 3} for item in items]
    return read(uuid4(), orjson.dumps([[1, 4, phase]]).decode(), orjson.dumps(rows).decode())


def test_a_version_is_read_by_phase_and_item() -> None:
    one, two = uuid4(), uuid4()
    first, second = str(uuid4()), str(uuid4())
    found = read(
        uuid4(),
        orjson.dumps([[2, None, second], [1, 4, first]]).decode(),
        orjson.dumps([{"id": str(one), "phase_id": first}, {"id": str(two), "phase_id": second}]).decode(),
    )
    assert set(found.phases) == {PhaseSpan(1, 4), PhaseSpan(2, None)}
    assert {position: set(part) for position, part in found.items.items()} == {1: {one}, 2: {two}}


def test_items_find_the_version_they_are_all_of_and_only_in_its_clinic() -> None:
    contents, item, another = Contents(), uuid4(), uuid4()
    kept = content(item, another)
    contents.keep(CLINIC, kept)
    assert contents.with_all(CLINIC, [item]) is contents.with_all(CLINIC, [another, item]) is kept
    assert contents.with_all(OTHER, [item]) is contents.with_all(CLINIC, [item, uuid4()]) is None
    assert contents.with_all(CLINIC, []) is None


def test_the_version_that_nobody_asked_for_longest_makes_room() -> None:
    contents, items = Contents(most=2), [uuid4() for _ in range(3)]
    for item in items[:2]:
        contents.keep(CLINIC, content(item))
    assert contents.with_all(CLINIC, [items[0]])
    contents.keep(CLINIC, content(items[2]))
    assert [contents.with_all(CLINIC, [item]) is not None for item in items] == [True, False, True]
