import pytest

from streams.inbox_room import InboxRoom
from streams.intake import IntakeFull


def test_room_is_taken_up_to_the_limit_and_given_back():
    room = InboxRoom(most=3, most_bytes=100)

    room.take(2, 60)
    with pytest.raises(IntakeFull, match="2 messages of 60 bytes wait to be read") as refused:
        room.take(1, 41)
    with pytest.raises(IntakeFull):
        room.take(2, 1)
    room.take(1, 40)
    room.free(2, 60)

    assert refused.value.retry_after_s == 5
    assert (room.messages, room.bytes) == (1, 40)
    room.take(2, 60)


def test_an_empty_inbox_takes_any_one_request():
    room = InboxRoom(most=3, most_bytes=100)

    room.take(10, 5000)

    with pytest.raises(IntakeFull):
        room.take(1, 1)


def test_what_was_counted_in_truth_stands_where_nothing_changed_meanwhile():
    room = InboxRoom()
    room.take(5, 50)
    at_change = room.changes
    room.found(7, 70, at_change)
    truth = (room.messages, room.bytes)
    room.take(1, 10)

    room.found(0, 0, at_change)

    assert truth == (7, 70)
    assert (room.messages, room.bytes) == (8, 80)
