"""Who gets in, and what a page of someone else can make a browser do (nothing)."""

import pytest

from console.auth import COOKIE, SESSION_S, ConsoleAuth
from tests.console.doors import BEARER, INGEST_TOKEN, OURS, TOKEN, House

PRIVATE = ["/", "/incidents", "/actions", "/metrics", "/api/overview", "/charts/spend.svg", "/nothing-here"]


@pytest.mark.parametrize("path", PRIVATE)
def test_nothing_is_shown_without_a_token(path):
    answer = House().stranger().get(path)
    assert answer.status_code == 401
    assert "88.40" not in answer.text


@pytest.mark.parametrize("path", ["/livez", "/healthz", "/readyz"])
def test_probes_are_open_under_any_name(path):
    assert House().stranger().get(path, headers={"host": "10.1.2.3:8787"}).status_code == 200


def test_the_token_of_the_address_becomes_a_cookie_and_leaves_the_address():
    client = House().stranger()

    answer = client.get(f"/incidents?state=open&token={TOKEN}")

    assert (answer.status_code, answer.headers["location"]) == (303, "/incidents?state=open")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert TOKEN not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert client.get("/incidents?state=open").status_code == 200


def test_a_redirect_after_the_token_leads_nowhere_else():
    answer = House().stranger().get(f"http://127.0.0.1:8787//evil.example/%0d%0ax?token={TOKEN}")
    assert answer.headers["location"] == "/evil.example/%0D%0Ax"


@pytest.mark.parametrize("cookie", ["", "x", "9999999999.n.00", "9999999999..", ".", "é"])
def test_a_forged_session_is_none(cookie):
    assert not House().auth.is_session(cookie)


def test_a_session_ends():
    house = House()
    cookie = house.auth.open_session()
    assert house.auth.is_session(cookie)
    house.now_s += SESSION_S
    assert not house.auth.is_session(cookie)


def test_a_session_of_another_token_is_none():
    other = ConsoleAuth("another-token-of-length", clock=lambda: 1_800_000_000.0)
    assert not House().auth.is_session(other.open_session())


def test_a_bearer_is_let_in_and_a_wrong_one_is_not():
    client = House().stranger()
    assert client.get("/api/overview", headers=BEARER).status_code == 200
    answer = client.get("/api/overview", headers={"authorization": "Bearer wrong"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_the_events_token_opens_no_page():
    client = House().stranger()
    assert client.get("/api/overview", headers={"authorization": f"Bearer {INGEST_TOKEN}"}).status_code == 401


def test_guessing_is_slowed_down_and_sessions_go_on():
    house = House()
    client, signed_in = house.stranger(), house.browser()
    answers = [client.get(f"/?token=guess-{n}").status_code for n in range(12)]
    assert answers == [401] * 10 + [429] * 2

    assert client.get(f"/?token={TOKEN}").status_code == 429
    assert client.post("/login", data={"token": TOKEN}, headers=OURS).status_code == 429
    assert client.get("/api/overview", headers={"authorization": "Bearer nope"}).headers["retry-after"] == "61"
    assert signed_in.get("/").status_code == 200

    house.now_s += 61
    assert client.get(f"/?token={TOKEN}").status_code == 303


def test_the_login_form_takes_the_token():
    house = House()
    client = house.stranger()
    assert client.post("/login", data={"token": "wrong"}, headers=OURS).status_code == 401
    assert client.post("/login", data={"token": f" {TOKEN}\n"}, headers=OURS).headers["location"] == "/"
    assert client.get("/").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8787", "127.0.0.1.evil.example", "", "[::2]:8787", "[", "a[b]"]
)
def test_another_name_for_our_address_is_refused_even_with_a_session(host):
    assert House().browser().get("/", headers={"host": host}).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1:8787", "LOCALHOST:1", "[::1]:8787"])
def test_our_own_names_are_known(host):
    assert House().browser().get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:8787"},
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "null"},
    ],
)
def test_a_form_on_another_site_changes_nothing(headers):
    house = House()
    client = house.browser()
    form = {"csrf": house.csrf(client), "transition": "2"}
    for path in ("/actions/act_aaaa/approve", f"/incidents/{house.store.incidents[1].incident_id}/acknowledge"):
        assert client.post(path, data=form, headers=headers).status_code == 403
    assert house.pressed.log == []


@pytest.mark.parametrize("csrf", ["", "0" * 64, None])
def test_a_form_without_the_sessions_proof_changes_nothing(csrf):
    house = House()
    form = {"transition": "2"} | ({} if csrf is None else {"csrf": csrf})
    assert house.browser().post("/actions/act_aaaa/approve", data=form, headers=OURS).status_code == 403
    assert house.pressed.log == []


def test_the_proof_of_another_session_is_none():
    house = House()
    mine, other = house.browser(), house.browser()
    form = {"transition": "2", "csrf": house.csrf(other)}
    assert mine.post("/actions/act_aaaa/approve", data=form, headers=OURS).status_code == 403
    assert house.pressed.log == []


@pytest.mark.parametrize(
    "path", ["/actions/act_aaaa/approve", "/actions/act_aaaa/keep", "/actions/act_aaaa/undo", "/logout"]
)
def test_a_link_changes_nothing(path):
    house = House()
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        assert house.browser().request(method, path, headers=OURS).status_code == 405
    assert house.pressed.log == []


def test_a_change_without_a_session_changes_nothing():
    house = House()
    assert house.stranger().post("/actions/act_aaaa/approve", data={"transition": "2"}, headers=OURS).status_code == 401
    assert house.pressed.log == []


def test_every_answer_forbids_foreign_script_and_frames():
    house = House()
    for answer in (house.stranger().get("/"), house.browser().get("/"), house.stranger().get("/livez")):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self'; style-src 'self'; img-src 'self' data:;")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def test_a_link_in_slack_leads_to_the_page_after_one_hop_of_our_own():
    answer = House().stranger().get("/", headers={"sec-fetch-site": "cross-site"})
    assert '<meta http-equiv="refresh" content="0">' in answer.text
    assert "refresh" not in House().stranger().get("/", headers={"sec-fetch-site": "same-origin"}).text


def test_a_short_token_is_refused_without_repeating_it():
    with pytest.raises(ValueError, match="at least 16 characters, got 6") as fault:
        ConsoleAuth("abc123", clock=lambda: 0.0)
    assert "abc123" not in str(fault.value)
    assert TOKEN not in repr(House().auth)


def test_with_auth_off_the_name_and_the_origin_are_still_asked_for():
    house = House(token=None)
    client = house.stranger()
    assert client.get("/").status_code == 200
    assert client.get("/", headers={"host": "evil.example"}).status_code == 403
    form = {"transition": "2", "csrf": house.auth.csrf("")}
    assert client.post("/actions/act_aaaa/keep", data=form).status_code == 403
    assert client.post("/actions/act_aaaa/keep", data=form, headers=OURS).status_code == 303


def test_metrics_may_be_opened_for_a_scraper():
    house = House(metrics_open=True)
    house.metrics.consumed("gpu.samples", 3)
    answer = house.stranger().get("/metrics")
    assert 'emberwatch_records_consumed_total{topic="gpu.samples"} 3.0' in answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert house.stranger().get("/").status_code == 401


def test_metrics_speak_openmetrics_where_asked():
    answer = House().stranger().get("/metrics", headers={**BEARER, "accept": "application/openmetrics-text"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
