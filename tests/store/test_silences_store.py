"""Silences, snoozes and the log of what people did, on both databases."""

from datetime import timedelta

from msgspec.structs import replace
from sqlalchemy import update

from alerts.matching import Matcher
from alerts.silences import silence
from store import tables
from store.audit import AUDIT, first_broken
from store.facts import Facts
from store.store import Store
from store.upsert import table_of
from tests.store.samples import HOUR, NOON, commit, incident, notice

QUIET = silence(
    [Matcher.parse('team=~"search|chat"'), Matcher.parse("kind!=budget")],
    starts_at=NOON,
    ends_at=NOON + HOUR,
    by="ana",
    now=NOON,
    comment="load test",
)


def test_a_silence_comes_back_as_it_was_and_ends_once(store: Store) -> None:
    store.add_silence(QUIET)
    store.add_silence(QUIET)

    assert store.silences() == [QUIET]
    assert store.silences(NOON + HOUR) == []
    ended = replace(QUIET, expired_at=NOON + HOUR / 2, expired_by="bo")
    assert store.expire_silence(QUIET.silence_id, "bo", NOON + HOUR / 2) == ended
    assert store.expire_silence(QUIET.silence_id, "eve", NOON + HOUR * 3 / 4) == ended
    assert store.expire_silence("sil_none", "eve", NOON) is None
    assert store.silences(NOON + HOUR * 3 / 4) == []


def test_a_snooze_and_what_was_expected_outlive_what_the_pipeline_writes(store: Store) -> None:
    commit(store, Facts(incidents=[incident()]))
    until = NOON + 4 * HOUR

    assert store.snooze("inc_a", until, "ana", NOON, [notice("s")]) == incident(snoozed_until=until, snoozed_by="ana")
    assert store.expect("inc_a", "bo", NOON, [notice("x")]) is not None
    assert store.expect("inc_a", "eve", NOON + HOUR, [notice("y")]) is not None
    commit(store, Facts(incidents=[incident(updated_at=NOON + HOUR, usd_so_far=20.0)]))

    assert store.incident("inc_a") == incident(
        updated_at=NOON + HOUR,
        usd_so_far=20.0,
        snoozed_until=until,
        snoozed_by="ana",
        expected_at=NOON,
        expected_by="bo",
    )
    assert [entry.notice.notice_id for entry in store.notices(9)] == ["x", "s"]


def test_what_is_over_can_not_be_snoozed(store: Store) -> None:
    over = incident(resolved_at=NOON)
    commit(store, Facts(incidents=[over]))

    assert store.snooze("inc_a", NOON + HOUR, "ana", NOON, [notice("s")]) == over
    assert store.snooze("inc_none", NOON + HOUR, "ana", NOON) is None
    assert (store.notices(9), store.audit_log()) == ([], [])


def test_each_thing_done_is_in_the_log_and_the_log_holds_together(store: Store) -> None:
    commit(store, Facts(incidents=[incident()]))
    store.add_silence(QUIET)
    store.snooze("inc_a", NOON + HOUR, "slack:U1", NOON)
    store.audit(NOON + timedelta(minutes=1), "slack:U2", "approve", "act_a", "refused: not an approver")

    log = store.audit_log()

    assert [(row.who, row.what, row.subject_id) for row in log] == [
        ("ana", "silence", QUIET.silence_id),
        ("slack:U1", "snooze", "inc_a"),
        ("slack:U2", "approve", "act_a"),
    ]
    assert store.audit_fault() is None
    assert store.audit_log(1) == log[-1:]
    assert store.audit_log(subject_id="inc_a") == log[1:2]


def test_a_row_that_was_changed_or_taken_out_breaks_the_chain(store: Store) -> None:
    for number in range(4):
        store.audit(NOON, "ana", "keep", f"act_{number}", "done")
    log = store.audit_log()

    assert first_broken(log) is None
    assert first_broken([log[0], *log[2:]]) == log[2]
    with store._database.writing() as connection:
        table = table_of(tables.Audit)
        connection.execute(update(table).where(AUDIT.serial == log[1].serial).values(who="eve"))
    fault = store.audit_fault()
    assert fault is not None
    assert fault.serial == log[1].serial


def test_a_request_is_new_once(store: Store) -> None:
    assert [store.first_press("p1", NOON), store.first_press("p1", NOON), store.first_press("p2", NOON)] == [
        True,
        False,
        True,
    ]
    store.forget_presses(NOON + HOUR)
    assert store.first_press("p1", NOON + HOUR)
