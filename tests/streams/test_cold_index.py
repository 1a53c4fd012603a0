"""The index of cold rows names every key that left, and hardly any other."""

from streams.cold import DAY_S, ColdIndex

NOON_S = 20_479 * DAY_S + 43_200
NAMES = [f"prod/llm/{number}" for number in range(5000)]


def test_every_key_that_left_is_a_suspect_and_no_other():
    index = ColdIndex()
    index.add("workload", NAMES[:2000], NOON_S)
    index.add("workload", NAMES[2000:3000], NOON_S + DAY_S)
    index.add("device", NAMES[4000:], NOON_S)
    assert index.suspects("workload", [*NAMES, NAMES[0]]) == NAMES[:3000]
    assert index.suspects("device", NAMES) == NAMES[4000:]
    assert (len(index), index.suspects("workload", [])) == (4000, [])


def test_who_came_back_is_no_suspect():
    index = ColdIndex()
    index.add("workload", NAMES[:10], NOON_S)
    index.remove("workload", NAMES[2:10])
    assert index.suspects("workload", NAMES) == NAMES[:2]
    index.remove("workload", NAMES[:2])
    assert index.suspects("workload", NAMES) == []


def test_days_that_the_store_has_forgotten_are_forgotten():
    index = ColdIndex()
    index.add("workload", NAMES[:5], NOON_S)
    index.add("workload", NAMES[5:9], NOON_S + DAY_S)
    index.forget(NOON_S + DAY_S)
    assert index.suspects("workload", NAMES) == NAMES[5:9]


def test_what_was_written_down_is_read_back():
    index, parts = ColdIndex(), {}
    for day in range(4):
        index.add("workload", NAMES[day * 10 : day * 10 + 10], NOON_S + day * DAY_S)
        parts |= index.changes()
    index.remove("workload", NAMES[:10])
    index.remove("workload", NAMES[10:12])
    parts |= index.changes()
    other = ColdIndex()
    other.load({name: body for name, body in parts.items() if body is not None})
    assert index.changes() == {}
    assert other.whole() == index.whole()
    assert other.suspects("workload", NAMES) == NAMES[12:40]


def test_the_index_says_how_much_room_there_is():
    index = ColdIndex(limit=12)
    index.add("workload", NAMES[:10], NOON_S)
    assert index.room == 2
    index.add("workload", NAMES[:20], NOON_S)
    assert index.room == 0


def test_a_row_takes_hardly_more_than_eight_bytes():
    index = ColdIndex()
    index.add("workload", NAMES, NOON_S)
    assert sum(map(len, index.whole().values())) < 9 * len(NAMES)
