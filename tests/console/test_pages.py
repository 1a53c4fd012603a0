import re

import pytest
from msgspec.structs import replace

from alerts.incidents import Severity
from alerts.scale_down import ActionStep, Mode
from alerts.would_stop import Outcome, WouldStop
from detectors.findings import Cause, Kind
from tests.console.doors import BEARER, OURS, House
from tests.console.fleet import HOSTILE, HOUR, NOW, ListStore, incident


class StoreAway(Exception):
    """The store of this test can't be reached."""


class AwayStore(ListStore):
    """A store that can't be reached."""

    def statuses(self):
        raise StoreAway


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_the_first_page_begins_with_money():
    page = text_of(House().browser().get("/").text)
    for words in (
        "$88.40 /h",
        "$36.00/h of it idle",
        "+ $16.00/h last seen from 1 silent workload",
        "as of 12 s ago",
        "4 busy 9 idle 4 unknown",
        "$41.20/h above normal: prod-eu/search/embedder (team search)",
        "8 of 8 × NVIDIA H100 80GB HBM3 3 h 20 min $106.40 $32.00/h 0.4 % 71 W",
        "will break Budget $7,000 a month",
        "80 % between $6,900 and $8,150",
        "scale-down: propose",
        "rate limited, again in 30 s",
        "future 14",
    ):
        assert words in page, words


def test_an_empty_console_teaches_the_next_command():
    page = House(store=ListStore(), budgets=(), mode=Mode.OBSERVE).browser().get("/").text
    for words in ("emberwatch demo", "emberwatch produce events.jsonl", "/api/v1/events", "usd_per_month: 50000"):
        assert words in page, words
    assert "$0<" not in page


def test_names_from_outside_are_text_on_every_page():
    store = ListStore()
    store.incidents = [
        incident(
            Kind.WASTE, Cause.BUSY_NO_OUTPUT, Severity.WARN, NOW - HOUR, HOSTILE, team="<b>x</b>", usd_per_hour=1.0
        )
    ]
    client = House(store=store).browser()
    here = store.incidents[0].incident_id
    for path in ("/", "/incidents", f"/incidents/{here}"):
        page = client.get(path).text
        assert "<script>alert" not in page
        assert "<b>" not in page
        assert "\u202e" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in client.get(f"/incidents/{here}/chart.svg").text


def test_no_page_holds_a_script_or_a_style_of_its_own():
    house = House()
    client = house.browser()
    for path in ("/", "/incidents", f"/incidents/{house.store.incidents[1].incident_id}", "/actions"):
        page = client.get(path).text
        assert re.findall(r"<script[^>]*>(?!</script>)", page) == []
        assert re.findall(r"<style|\sstyle=|\son\w+=", page) == []


def test_an_incident_shows_evidence_timeline_and_changes():
    house = House()
    idle = house.store.incidents[1]
    page = text_of(house.browser().get(f"/incidents/{idle.incident_id}").text)
    for words in (
        "idle: no requests arrive",
        "power 71 W",
        "24 Nov 18:02 UTC change: deploy route chat traffic to llama70b-v2",
        "24 Nov 18:10 UTC began",
        "24 Nov 18:41 UTC recorder: recorded",
        "24 Nov 21:20 UTC scale-down: proposed no request for 3 h, power at its floor",
        "proposed (mode propose): 4 to 0 replicas, saves $32.00/h",
        "Acknowledge",
    ):
        assert words in page, words


def test_acknowledge_says_who_and_leads_back():
    house = House()
    client = house.browser()
    path = f"/incidents/{house.store.incidents[1].incident_id}"
    answer = client.post(f"{path}/acknowledge", data={"csrf": house.csrf(client)}, headers=OURS)
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    assert house.pressed.log == [("acknowledge", house.store.incidents[1].incident_id, "console")]


def test_what_was_acknowledged_or_resolved_has_no_button():
    house = House()
    client = house.browser()
    for one in (house.store.incidents[0], house.store.incidents[4]):
        assert "/acknowledge" not in client.get(f"/incidents/{one.incident_id}").text
    house.pressed.answer = False
    answer = client.post("/incidents/inc_x/acknowledge", data={"csrf": house.csrf(client)}, headers=OURS)
    assert answer.status_code == 409


@pytest.mark.parametrize("what", ["approve", "keep"])
def test_a_proposal_is_decided_as_it_was_shown(what):
    house = House()
    client = house.browser()
    form = {"csrf": house.csrf(client), "transition": "2"}
    assert client.post(f"/actions/act_aaaa/{what}", data=form, headers=OURS).headers["location"] == "/actions"
    assert house.pressed.log == [(what, "act_aaaa", "console")]


def test_a_proposal_that_has_changed_since_is_not_decided():
    house = House()
    client = house.browser()
    form = {"csrf": house.csrf(client), "transition": "1"}
    assert client.post("/actions/act_aaaa/approve", data=form, headers=OURS).status_code == 409
    assert client.post("/actions/act_zzzz/approve", data=form, headers=OURS).status_code == 404
    assert house.pressed.log == []


def test_a_workload_is_kept_though_its_action_has_gone_on_since_it_was_shown():
    house = House()
    client = house.browser()
    form = {"csrf": house.csrf(client), "transition": "1"}
    assert client.post("/actions/act_aaaa/keep", data=form, headers=OURS).status_code == 303
    assert house.pressed.log == [("keep", "act_aaaa", "console")]


def test_what_was_stopped_is_brought_back_from_the_list():
    house = House()
    house.store.actions[0] = replace(house.store.actions[0], step=ActionStep.VERIFIED)
    client = house.browser()
    assert "/actions/act_aaaa/undo" in client.get("/actions").text
    assert client.post("/actions/act_aaaa/undo", data={"csrf": house.csrf(client)}, headers=OURS).status_code == 303
    assert house.pressed.log == [("undo", "act_aaaa", "console")]


def test_what_was_not_stopped_can_not_be_brought_back():
    house = House()
    client = house.browser()
    assert "/undo" not in client.get("/actions").text
    assert client.post("/actions/act_aaaa/undo", data={"csrf": house.csrf(client)}, headers=OURS).status_code == 409
    assert house.pressed.log == []


def test_what_was_only_observed_can_not_be_approved():
    house = House(mode=Mode.OBSERVE)
    client = house.browser()
    form = {"csrf": house.csrf(client), "transition": "0"}
    assert client.post("/actions/act_bbbb/approve", data=form, headers=OURS).status_code == 409
    assert house.pressed.log == []
    assert "Nothing is ever stopped in this mode" in client.get("/actions").text


def test_why_an_action_waits_is_said_in_words():
    house = House()
    client = house.browser()
    action = house.store.actions[0]
    pages = ("/actions", f"/incidents/{action.incident_id}")
    before = [client.get(page).text for page in pages]

    house.store.actions[0] = replace(action, waiting="gpu_limit")

    words = "with it, more of the fleet would be stopped than may be"
    assert [words in page for page in before] == [False, False]
    assert [words in client.get(page).text for page in pages] == [True, True]


def test_the_actions_page_says_when_all_acting_is_paused():
    house = House()
    client = house.browser()
    before = client.get("/actions").text

    house.store.is_paused = True

    assert "Paused: no action takes a step" not in before
    assert "Paused: no action takes a step" in text_of(client.get("/actions").text)


def test_without_controls_there_are_no_buttons():
    house = House(controls=None)
    client = house.browser()
    assert "<button" not in client.get("/actions").text.replace('<button class="quiet">', "")
    form = {"csrf": house.csrf(client), "transition": "2"}
    assert client.post("/actions/act_aaaa/approve", data=form, headers=OURS).status_code in (404, 405)


@pytest.mark.parametrize(
    "path",
    ["/charts/spend.svg", "/charts/spend.svg?theme=dark&size=narrow", "/charts/budget.svg?name=team-search"],
)
def test_charts_are_images_of_our_own(path):
    answer = House().browser().get(path)
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.text.startswith("<svg")


def test_incidents_are_filtered_by_the_address():
    client = House().browser()
    page = client.get("/incidents?state=resolved&kind=idle").text
    assert "$9.00 wasted, over now" in page
    assert "above normal" not in page
    assert client.get("/incidents?state=maybe").status_code == 400


def test_programs_get_json():
    house = House()
    client = house.stranger()
    assert client.get("/api/overview", headers=BEARER).json()["usd_per_hour"] == 88.4
    idle = house.store.incidents[1]
    assert client.get(f"/api/incidents/{idle.incident_id}", headers=BEARER).json()["cause"] == "no_traffic"
    answer = client.get("/api/incidents/inc_none", headers=BEARER)
    assert (answer.status_code, answer.json()) == (404, {"error": "there is no incident of this id"})


def test_a_page_that_is_not_there_says_so():
    answer = House().browser().get("/nothing-here")
    assert answer.status_code == 404
    assert "Back to the overview" in answer.text


def test_a_store_that_is_away_is_a_503_that_says_when_to_come_again():
    house = House(store=AwayStore(), unavailable=(StoreAway,))
    answer = house.browser().get("/")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "content-security-policy" in answer.headers


def test_readiness_tells_what_is_missing():
    house = House()
    house.health.flag("assignment", "waiting for partitions")
    answer = house.stranger().get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "checks": {"assignment": "waiting for partitions"}}
    assert house.stranger().get("/livez").text == "ok\n"


def test_the_actions_page_shows_what_mode_auto_would_have_stopped():
    house = House(mode=Mode.OBSERVE)
    client = house.browser()
    before = text_of(client.get("/actions").text)
    quiet = WouldStop(
        stop_id="act_1:1", action_id="act_1", incident_id="inc_1", workload="prod/llm/notebook", team=None,
        at=NOW - 5 * HOUR, usd_per_hour=16.0, outcome=Outcome.QUIET, quiet_until=NOW - HOUR,
    )  # fmt: skip
    back = replace(quiet, stop_id="act_2:1", workload="prod/llm/chat", outcome=Outcome.BUSY_AGAIN, quiet_until=None)
    house.store.would_stops += [quiet, back]

    shown = text_of(client.get("/actions").text)

    assert "What mode auto would have stopped" not in before
    assert "In mode auto: 2 stops, $64.00 saved; after 1 of them work came within 30 minutes." in shown
    assert "Regret: 50 %" in shown
    assert "prod/llm/notebook" in shown
    assert "busy again" in shown
