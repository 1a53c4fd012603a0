"""Incidents: one open for a condition, resolved for good, and acknowledged by people."""

from typing import Any

import pytest
from msgspec.structs import replace

from detectors.findings import Kind
from store.errors import AlreadyOpen
from store.facts import Facts
from store.store import Store
from tests.store.samples import HOUR, MINUTE, NOON, commit, incident, notice


def resolved(**fields: Any) -> Any:
    return incident(**{"updated_at": NOON + MINUTE, "resolved_at": NOON + MINUTE, "transition": 1, **fields})


def test_an_incident_comes_back_whole(store: Store) -> None:
    commit(store, Facts(incidents=[incident()]))
    assert store.incident("inc_a") == incident()
    assert store.open_incidents() == [incident()]
    assert store.incident("inc_none") is None


def test_a_newer_state_replaces_and_an_older_one_changes_nothing(store: Store) -> None:
    newer = incident(updated_at=NOON + MINUTE, usd_so_far=20.0, transition=1)
    commit(store, Facts(incidents=[newer]), Facts(incidents=[incident()]))
    assert store.incident("inc_a") == newer


def test_a_lower_transition_changes_nothing(store: Store) -> None:
    commit(store, Facts(incidents=[incident(transition=2)]), Facts(incidents=[incident(transition=1, usd_so_far=1.0)]))
    assert store.incident("inc_a") == incident(transition=2)


def test_a_resolved_incident_stays_resolved(store: Store) -> None:
    again = incident(updated_at=NOON + HOUR, transition=2)
    commit(store, Facts(incidents=[resolved()]), Facts(incidents=[incident()]), Facts(incidents=[again]))
    assert store.incident("inc_a") == resolved()
    assert store.open_incidents() == []


def test_an_acknowledgement_outlives_rewrites(store: Store) -> None:
    commit(store, Facts(incidents=[incident()]))
    acknowledged = store.acknowledge("inc_a", "ada", NOON + MINUTE, [notice("ack", 1)])
    assert acknowledged == incident(acknowledged_at=NOON + MINUTE, acknowledged_by="ada")

    commit(store, Facts(incidents=[resolved()]))

    assert store.incident("inc_a") == resolved(acknowledged_at=NOON + MINUTE, acknowledged_by="ada")


def test_a_second_acknowledgement_changes_and_says_nothing(store: Store) -> None:
    commit(store, Facts(incidents=[incident()]))
    first = store.acknowledge("inc_a", "ada", NOON, [notice("ack", 1)])

    assert store.acknowledge("inc_a", "bob", NOON + HOUR, [notice("ack-bob", 2)]) == first
    assert [entry.notice.notice_id for entry in store.notices(10)] == ["ack"]


def test_no_one_acknowledges_what_is_not_there(store: Store) -> None:
    assert store.acknowledge("inc_none", "ada", NOON, [notice("ack")]) is None
    assert store.notices(10) == []


def test_a_second_open_incident_of_a_condition_is_refused_with_the_whole_commit(store: Store) -> None:
    commit(store, Facts(incidents=[incident()]))

    with pytest.raises(AlreadyOpen, match="incident inc_b can't open: inc_a is open for the same condition") as refusal:
        commit(store, Facts(incidents=[incident(incident_id="inc_b")], notices=[notice("n")]))

    assert refusal.value.incident_id == "inc_a"
    assert store.open_incidents() == [incident()]
    assert store.notices(10) == []


def test_two_openings_of_a_condition_in_one_commit_are_refused(store: Store) -> None:
    with pytest.raises(AlreadyOpen):
        commit(store, Facts(incidents=[incident(), incident(incident_id="inc_b")]))


def test_one_commit_may_resolve_an_incident_and_open_the_next(store: Store) -> None:
    after = incident(incident_id="inc_b", began_at=NOON + MINUTE)
    commit(store, Facts(incidents=[incident()]), Facts(incidents=[after, resolved()]))
    assert store.open_incidents() == [after]


def test_one_commit_may_hold_a_whole_life_and_the_next_opening(store: Store) -> None:
    after = incident(incident_id="inc_b", began_at=NOON + MINUTE)
    commit(store, Facts(incidents=[incident(), resolved(), after, replace(after, usd_so_far=1.0)]))
    assert store.incidents_between(NOON, NOON + HOUR) == [resolved(), replace(after, usd_so_far=1.0)]


def test_an_old_opening_told_again_does_not_meet_the_incident_that_is_open_now(store: Store) -> None:
    after = incident(incident_id="inc_b", began_at=NOON + MINUTE)
    commit(store, Facts(incidents=[resolved()]), Facts(incidents=[after]), Facts(incidents=[incident()]))
    assert store.incidents_between(NOON, NOON + HOUR) == [resolved(), after]


def test_a_model_name_with_odd_characters_keeps_its_promise(store: Store) -> None:
    odd = incident(model="a\x00b", fingerprint="unpriced||a\x00b|")
    commit(store, Facts(incidents=[odd]), Facts(incidents=[odd]))
    with pytest.raises(AlreadyOpen):
        commit(store, Facts(incidents=[replace(odd, incident_id="inc_b")]))
    assert store.open_incidents() == [odd]


def test_incidents_are_listed_by_time_state_and_kind(store: Store) -> None:
    waste = incident(
        incident_id="inc_w", fingerprint="waste", kind=Kind.WASTE, began_at=NOON, detected_at=NOON + 2 * HOUR
    )
    commit(store, Facts(incidents=[resolved(), waste]))

    assert store.list_incidents(10) == [waste, resolved()]
    assert store.list_incidents(1) == [waste]
    assert store.list_incidents(10, "open") == [waste]
    assert store.list_incidents(10, "resolved") == [resolved()]
    assert store.list_incidents(10, kind="idle") == [resolved()]
    assert store.incidents_between(NOON + HOUR, NOON + 3 * HOUR) == [waste]
    assert store.incidents_between(NOON - 2 * HOUR, NOON - 30 * MINUTE) == [resolved()]
    assert store.incidents_between(NOON - 3 * HOUR, NOON - HOUR) == []
