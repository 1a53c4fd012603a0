"""Names from outside that would be markup, formulas, or megabytes: text, wherever a person or program reads."""

import json
import re

import pytest

from alerts.channels.email import EmailChannel
from alerts.messages import slack_blocks
from console.fakes.smtp import FakeSmtp
from streams.replay import inert
from tests.alerts.samples import notice_of
from tests.streams.events import MINUTE, NOON, Log, encoded, gpu, idle_gpu, nano_usd, pipeline

NAME = "=cmd|'calc'!A0 <!channel> <script>alert(1) \u202egnp.exe"
HOSTILE = f"{NAME}/ns/x"


def told_of_hostile():
    """The incident of an idle workload with the name."""
    one = pipeline()
    one.observe(
        Log().records(
            [idle_gpu(NOON + n * MINUTE, workload=HOSTILE, team=NAME, device=NAME, span_s=60) for n in range(20)]
        )
    )
    one.finish()
    facts = one.drain()
    (incident,) = [incident for incident in facts.incidents if incident.kind == "idle"]
    return incident, facts.notices[0]


def test_slack_reads_a_name_as_text():
    incident, notice = told_of_hostile()
    said = json.dumps(slack_blocks(incident, link="https://console.example/i/1"), ensure_ascii=False)

    assert re.findall(r"<[^>]*>", said) == ["<https://console.example/i/1|open>"]
    assert "&lt;!channel&gt;" in said
    assert not set(said + notice.title) & set("\u202e\r\n")


def test_mail_reads_a_name_as_text():
    incident, notice = told_of_hostile()
    with FakeSmtp() as server:
        channel = EmailChannel(
            "mail", host=server.host, port=server.port, sender="emberwatch@example.com",
            recipients=("ops@example.com",), starttls=False, timeout_s=5.0,
        )  # fmt: skip
        channel.send(notice_of(incident, title=notice.title), None)
        (mail,) = server.mails

    text, html = mail.iter_parts()
    assert "<script" not in html.get_content()
    assert "&lt;script&gt;alert(1)" in html.get_content()
    assert not set(text.get_content() + html.get_content() + mail["Subject"]) & set("\u202e")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\x00"])
def test_a_cell_that_a_spreadsheet_would_run_gets_an_apostrophe(start):
    assert inert(f"{start}1+1") == f"'{start}1+1"
    assert inert("prod/llm/chat") == "prod/llm/chat"


@pytest.mark.parametrize(
    "labels",
    [{"l": "x" * 1_000_000}, {f"l{number}": "x" for number in range(5000)}, {"x" * 65: "y"}],
    ids=["a megabyte", "five thousand", "a long key"],
)
def test_labels_beyond_the_limits_are_set_aside_and_the_neighbours_are_applied(labels):
    large = encoded(gpu(device="GPU-large", labels=labels))
    log, one = Log(), pipeline()

    one.observe(log.records([gpu(device="GPU-1"), large, gpu(device="GPU-2")]))

    facts = one.drain()
    assert [(row.offset, row.payload) for row in facts.rejects] == [(1, large[:65_536])]
    assert len(facts.rejects[0].reason) <= 300
    assert sum(nano_usd(facts.ledger).values()) == 2 * 33_333_333
