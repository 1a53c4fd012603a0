"""The page of silences, and the buttons that hush an incident."""

from datetime import timedelta

from alerts.matching import Matcher
from alerts.silences import silence
from tests.console.doors import OURS, House
from tests.console.fleet import NOW

HOSTILE = "<script>alert(1)</script>"
QUIET = silence(
    [Matcher.parse('team="search"')],
    starts_at=NOW,
    ends_at=NOW + timedelta(hours=2),
    by="ana",
    now=NOW,
    comment=HOSTILE,
)


def test_the_page_shows_what_is_silenced_until_when_by_whom_and_why():
    house = House()
    house.store.silenced = [QUIET]
    page = house.browser().get("/silences").text

    assert "team=&#34;search&#34;" in page
    assert f"/silences/{QUIET.silence_id}/expire" in page
    assert HOSTILE not in page
    assert house.browser().get("/api/silences").json()["lasting"][0]["silence_id"] == QUIET.silence_id


def test_a_silence_is_made_and_ended_from_the_page():
    house = House()
    client = house.browser()
    form = {"csrf": house.csrf(client), "matchers": 'team="search", kind=~"idle|waste"', "hours": "3", "comment": "x"}

    made = client.post("/silences", data=form, headers=OURS)
    ended = client.post("/silences/sil_x/expire", data={"csrf": form["csrf"]}, headers=OURS)

    assert (made.status_code, ended.status_code) == (303, 303)
    (one,) = house.pressed.silences
    assert (one.matchers, one.ends_at, one.created_by, one.comment) == (
        (Matcher.parse('team="search"'), Matcher.parse('kind=~"idle|waste"')),
        NOW + timedelta(hours=3),
        "console",
        "x",
    )
    assert house.pressed.log == [("expire", "sil_x", "console")]


def test_what_can_not_be_meant_is_refused_in_words():
    house = House()
    client = house.browser()
    for matchers, hours, said in (
        ("", "2", "needs a matcher"),
        ("tame=x", "2", "label is one of"),
        ("team=x", "-1", "hours"),
    ):
        form = {"csrf": house.csrf(client), "matchers": matchers, "hours": hours}
        answer = client.post("/silences", data=form, headers=OURS)
        assert (answer.status_code, said in answer.text) == (400, True)
    assert house.pressed.silences == []


def test_nothing_is_hushed_without_the_proof_of_the_session():
    house = House()
    client = house.browser()
    for path in ("/silences", "/silences/sil_x/expire", "/incidents/inc_x/snooze", "/incidents/inc_x/expected"):
        assert client.post(path, data={"matchers": "team=x", "hours": "1"}, headers=OURS).status_code == 403
        assert client.get(path).status_code in (200, 404, 405)
    assert (house.pressed.silences, house.pressed.log) == ([], [])


def test_an_incident_is_snoozed_for_hours_or_said_to_be_expected():
    house = House()
    client = house.browser()
    path = f"/incidents/{house.store.open_incidents()[0].incident_id}"
    page = client.get(path).text
    assert (f"{path}/snooze" in page, f"{path}/expected" in page) == (True, True)

    form = {"csrf": house.csrf(client), "hours": "4"}
    assert client.post(f"{path}/snooze", data=form, headers=OURS).headers["location"] == path
    assert client.post(f"{path}/expected", data=form, headers=OURS).headers["location"] == path
    assert [what for what, _, _ in house.pressed.log] == [
        f"snooze until {(NOW + timedelta(hours=4)).isoformat()}",
        "expect",
    ]
