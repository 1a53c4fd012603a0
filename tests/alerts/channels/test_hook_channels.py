"""Teams, incoming webhooks of Slack and webhooks of one's own: what is sent, and what each answer means."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from standardwebhooks.webhooks import Webhook

from alerts.channels.posting import Poster
from alerts.channels.slack_webhook import LESS, SlackWebhookChannel
from alerts.channels.teams import BODY_MAX_BYTES, TeamsChannel
from alerts.channels.webhook import WebhookChannel
from alerts.notices import Notice, Outcome, Reason
from alerts.secrets import Secret
from alerts.targets.addresses import AddressRefused
from console.fakes.server import Answer, LocalServer
from console.fakes.slack_rules import fault
from tests.alerts.samples import ACTION, EVERY_KIND, IDLE, notice_of, notice_of_action, notice_of_digest, resolved

GOLDEN = Path(__file__).parents[1] / "golden"
LINK = "https://emberwatch.example"
KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CANARY = "/hook/canary-4b11"
EVERYTHING = [*(notice_of(one) for one in EVERY_KIND), notice_of_action(ACTION), notice_of_digest()]


class Receiver(LocalServer):
    """Takes what it is sent, and says what it was told to say."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.says = Answer(status=202)

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> Answer:
        assert (method, path) == ("POST", CANARY)
        self.got.append((dict(headers), body))
        return self.says


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


def poster(receiver: Receiver) -> Poster:
    return Poster(receiver.url + CANARY, allow_insecure_loopback=True, timeout_s=5)


def teams(receiver: Receiver) -> TeamsChannel:
    return TeamsChannel("teams", poster=poster(receiver), link_base=LINK)


def hook(receiver: Receiver) -> WebhookChannel:
    return WebhookChannel("own", poster=poster(receiver), secrets=[Secret(KEY)], link_base=LINK)


def simple(receiver: Receiver) -> SlackWebhookChannel:
    return SlackWebhookChannel("slack", poster=poster(receiver), link_base=LINK)


@pytest.mark.parametrize("incident", EVERY_KIND, ids=lambda one: one.kind)
def test_each_card_is_as_it_always_was(receiver: Receiver, incident: Any) -> None:
    sent = teams(receiver).send(notice_of(incident), None)

    assert sent.outcome is Outcome.DELIVERED
    golden = json.loads((GOLDEN / f"teams_{incident.kind}.json").read_text(encoding="utf-8"))
    assert json.loads(receiver.got[0][1]) == golden


@pytest.mark.parametrize("notice", EVERYTHING, ids=lambda one: one.subject_id)
def test_every_notice_fits_into_what_the_vendors_take(receiver: Receiver, notice: Notice) -> None:
    for channel in (teams(receiver), simple(receiver), hook(receiver)):
        assert channel.send(notice, None).outcome is Outcome.DELIVERED
    card, message, event = (json.loads(body) for _, body in receiver.got)

    assert len(receiver.got[0][1]) <= BODY_MAX_BYTES
    (attachment,) = card["attachments"]
    assert (attachment["content"]["type"], attachment["content"]["version"]) == ("AdaptiveCard", "1.4")
    assert fault(message) is None
    assert message["blocks"][-1]["elements"][0]["text"] == LESS
    assert event["type"] == f"{notice.subject}.{notice.step}"


def test_text_from_outside_is_no_markup_in_a_card(receiver: Receiver) -> None:
    hostile = replace(IDLE, team="[x](https://evil) <at>all</at> **b**")
    teams(receiver).send(notice_of(hostile), None)
    said = receiver.got[0][1].decode()

    assert ("](" in said, "<at>" in said, "**b**" in said) == (False, False, False)


def test_the_vendors_own_verifier_takes_the_signature_and_a_repeat_bears_the_same_id(receiver: Receiver) -> None:
    channel, notice = hook(receiver), notice_of(IDLE)
    for _ in range(2):
        channel.send(notice, None)

    for headers, body in receiver.got:
        event = Webhook(KEY).verify(body, headers)
        assert (event["data"]["title"], event["data"]["incident"]["usd_per_hour"]) == ("$16.00/h wasted", 16.0)
        assert event["data"]["url"] == f"{LINK}/incidents/{IDLE.incident_id}"
    assert {headers["webhook-id"] for headers, _ in receiver.got} == {notice.notice_id}


@pytest.mark.parametrize(
    ("status", "unsure", "sure"),
    [
        (200, Outcome.DELIVERED, Outcome.DELIVERED),
        (429, Outcome.RETRY, Outcome.RETRY),
        (503, Outcome.AMBIGUOUS, Outcome.RETRY),
        (302, Outcome.REFUSED, Outcome.REFUSED),
        (404, Outcome.REFUSED, Outcome.REFUSED),
        (410, Outcome.REFUSED, Outcome.REFUSED),
    ],
)
def test_each_answer_means_what_it_means(receiver: Receiver, status: int, unsure: Outcome, sure: Outcome) -> None:
    receiver.says = Answer(status=status, headers={"Retry-After": "30", "Location": "http://169.254.169.254/"})
    receipts = [channel.send(notice_of(IDLE), None) for channel in (teams(receiver), simple(receiver), hook(receiver))]

    assert [one.outcome for one in receipts] == [unsure, unsure, sure]
    assert {one.retry_after_s for one in receipts} == ({30.0} if status in (429, 503) else {None})
    assert not any("canary" in repr(one) for one in receipts)
    assert len(receiver.got) == 3


def test_what_may_have_arrived_is_not_said_twice_where_it_can_not_be_looked_for(receiver: Receiver) -> None:
    receiver.fail_next("reset_after", 3)
    channels = (teams(receiver), simple(receiver), hook(receiver))
    outcomes = [channel.send(notice_of(IDLE), None).outcome for channel in channels]

    assert outcomes == [Outcome.AMBIGUOUS, Outcome.AMBIGUOUS, Outcome.RETRY]
    found = [channel.find(notice_of(IDLE), None).outcome for channel in channels]
    assert found == [Outcome.AMBIGUOUS, Outcome.AMBIGUOUS, Outcome.RETRY]


def test_the_end_says_what_is_new(receiver: Receiver) -> None:
    over = notice_of(resolved(IDLE), Reason.RESOLVED)
    teams(receiver).send(over, "x")
    simple(receiver).send(over, "x")

    assert all("Resolved after 1 h 47 min, $12.53 in all." in body.decode() for _, body in receiver.got)


@pytest.mark.parametrize(
    "url", ["http://example.com/x", "https://user:pw@example.com/", "ftp://example.com", "https://"]
)
def test_an_address_that_gives_itself_away_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        Poster(url)


def test_nothing_is_sent_to_the_inside_of_our_network() -> None:
    inside = TeamsChannel("t", poster=Poster("https://teams.example/x", resolve=lambda host, port: ["10.0.0.7"]))

    receipt = inside.send(notice_of(IDLE), None)
    assert (receipt.outcome, "not public" in receipt.detail) == (Outcome.REFUSED, True)
