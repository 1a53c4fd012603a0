"""The stand-ins for a mail server and a webhook receiver keep their rules."""

import smtplib
from datetime import UTC, datetime

import httpx
import msgspec
import pytest

from alerts.secrets import Secret
from alerts.targets.signature import sign
from alerts.targets.webhook import Request, request
from console.fakes.receiver import SECRET, FakeReceiver
from console.fakes.smtp import FakeSmtp
from tests.alerts.samples import ACTION, NOW

MAIL = "Subject: dots\r\n\r\n.one\r\n..two\r\n"


def test_mail_is_kept_as_it_was_sent_dots_and_all() -> None:
    with FakeSmtp() as server, smtplib.SMTP(server.host, server.port, timeout=5) as client:
        client.sendmail("a@example.com", ["b@example.com"], MAIL)
        client.sendmail("a@example.com", ["c@example.com"], MAIL)
    assert server.envelopes == [("a@example.com", ("b@example.com",)), ("a@example.com", ("c@example.com",))]
    assert server.mails[0].get_content() == ".one\n..two\n"


def test_commands_out_of_order_are_refused() -> None:
    with FakeSmtp(username="u", password="p") as server, smtplib.SMTP(server.host, server.port, timeout=5) as client:
        client.ehlo()
        codes = [client.docmd("MAIL", "FROM:<a@b.c>")[0]]
        client.login("u", "p")
        codes += [client.docmd(*command)[0] for command in (("RCPT", "TO:<a@b.c>"), ("DATA", ""), ("VRFY", "a"))]
    assert codes == [530, 503, 503, 502]


def post(receiver: FakeReceiver, asked: Request, *, message_id: str = "act_1", secret: str = SECRET) -> int:
    body = msgspec.json.encode(asked)
    headers = sign([Secret(secret)], message_id, int(NOW.timestamp()), body)
    return httpx.post(receiver.url, content=body, headers=headers, trust_env=False).status_code


def test_a_receiver_carries_a_request_out_once_and_tells_its_hook() -> None:
    scaled: list[tuple[str, int]] = []
    with FakeReceiver(
        clock=NOW.timestamp, on_executed=lambda r: scaled.append((r.workload, r.change.replicas.to))
    ) as receiver:
        asked = request(ACTION, "Deployment", None, dry_run=False)
        assert [post(receiver, asked), post(receiver, asked), post(receiver, asked, message_id="act_2")] == [202] * 3
        assert receiver.executed == [asked, asked]
    assert scaled == [(ACTION.workload, 0), (ACTION.workload, 0)]


@pytest.mark.parametrize(("secret", "late_s", "status"), [("whsec_" + "A" * 32, 0, 401), (SECRET, 1, 422)])
def test_a_receiver_refuses_strangers_and_stale_requests(secret: str, late_s: int, status: int) -> None:
    asked = msgspec.structs.replace(
        request(ACTION, "Deployment", None, dry_run=False),
        expires_at=datetime.fromtimestamp(NOW.timestamp() - late_s, UTC),
    )
    with FakeReceiver(clock=NOW.timestamp) as receiver:
        assert post(receiver, asked, secret=secret) == status
        assert receiver.executed == []


def test_a_body_that_is_no_request_is_refused() -> None:
    with FakeReceiver(clock=NOW.timestamp) as receiver:
        headers = sign([Secret(SECRET)], "act_1", int(NOW.timestamp()), b"{}")
        assert httpx.post(receiver.url, content=b"{}", headers=headers, trust_env=False).status_code == 400
