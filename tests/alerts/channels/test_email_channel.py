"""Mail: text and HTML in one thread, and every answer of the server understood."""

import socket
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from alerts.channels.email import EmailChannel, message_id
from alerts.messages import plain_text
from alerts.notices import Outcome, Reason, Receipt
from alerts.secrets import Secret
from console.fakes.smtp import FakeSmtp
from tests.alerts.samples import IDLE, notice_of, notice_of_digest, resolved

SENDER = "emberwatch@example.com"
PASSWORD = "canary-91c4"


@pytest.fixture
def smtp() -> Iterator[FakeSmtp]:
    with FakeSmtp() as server:
        yield server


def channel_to(
    smtp: FakeSmtp, *, password: str | None = None, recipients: tuple[str, ...] = ("ops@example.com",)
) -> EmailChannel:
    return EmailChannel(
        "mail",
        host=smtp.host,
        port=smtp.port,
        sender=SENDER,
        recipients=recipients,
        starttls=False,
        username=smtp.username,
        password=Secret(password) if password else None,
        timeout_s=5.0,
    )


def test_an_incident_arrives_as_text_and_html(smtp: FakeSmtp) -> None:
    notice = notice_of(replace(IDLE, workload="prod/<b>/x & y"), title="$16.00/h wasted")
    receipt = channel_to(smtp, recipients=("ops@example.com", "ana@example.com")).send(notice, None)
    (mail,) = smtp.mails
    assert receipt == Receipt(outcome=Outcome.DELIVERED, reference=message_id(notice, SENDER))
    assert smtp.envelopes == [(SENDER, ("ops@example.com", "ana@example.com"))]
    assert mail.get_content_type() == "multipart/alternative"
    text, html = mail.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert text.get_content().strip() == plain_text(replace(IDLE, workload="prod/<b>/x & y"))
    assert "prod/&lt;b&gt;/x &amp; y" in html.get_content()
    headers = {name: mail[name] for name in ("Subject", "To", "Message-ID", "References", "Auto-Submitted")}
    assert headers == {
        "Subject": "$16.00/h wasted",
        "To": "ops@example.com, ana@example.com",
        "Message-ID": message_id(notice, SENDER),
        "References": None,
        "Auto-Submitted": "auto-generated",
    }


def test_later_mails_are_in_the_thread_of_the_first(smtp: FakeSmtp) -> None:
    channel = channel_to(smtp)
    first = channel.send(notice_of(IDLE), None)
    over = notice_of(resolved(IDLE), Reason.RESOLVED)
    assert channel.send(over, first.reference) == first
    assert [(m["Message-ID"], m["References"], m["In-Reply-To"]) for m in smtp.mails] == [
        (first.reference, None, None),
        (message_id(over, SENDER), first.reference, first.reference),
    ]


def test_a_digest_keeps_its_own_html(smtp: FakeSmtp) -> None:
    channel_to(smtp).send(notice_of_digest("$1,200 last week"), None)
    text, html = smtp.mails[0].iter_parts()
    assert smtp.mails[0]["Subject"] == "$1,200 last week"
    assert (text.get_content(), html.get_content()) == (
        "$1,200 last week\nnothing to do\n",
        "<p>$1,200 last week</p>\n",
    )


def test_a_title_cannot_add_headers(smtp: FakeSmtp) -> None:
    channel_to(smtp).send(notice_of(IDLE, title="$1\r\nBcc: all@example.com\u202e"), None)
    assert (smtp.mails[0]["Subject"], smtp.mails[0]["Bcc"]) == ("$1 Bcc: all@example.com", None)


@pytest.mark.parametrize(
    ("kind", "receipt"),
    [
        ("mail:451", Receipt(outcome=Outcome.RETRY, detail="the mail server refused the mail (451)")),
        ("mail:550", Receipt(outcome=Outcome.REFUSED, detail="the mail server refused the mail (550)")),
        ("rcpt:450", Receipt(outcome=Outcome.RETRY, detail="the mail server refused the mail (450)")),
        ("rcpt:550", Receipt(outcome=Outcome.REFUSED, detail="the mail server refused the mail (550)")),
        ("data:452", Receipt(outcome=Outcome.RETRY, detail="the mail server refused the mail (452)")),
        ("body:554", Receipt(outcome=Outcome.REFUSED, detail="the mail server refused the mail (554)")),
        ("drop_after_data", Receipt(outcome=Outcome.AMBIGUOUS, detail="the mail server hung up")),
    ],
)
def test_each_answer_has_its_meaning(smtp: FakeSmtp, kind: str, receipt: Receipt) -> None:
    smtp.fail_next(kind)
    assert channel_to(smtp).send(notice_of(IDLE), None) == receipt


def test_mail_cannot_be_read_back(smtp: FakeSmtp) -> None:
    assert channel_to(smtp).find(notice_of(IDLE), None).outcome == Outcome.AMBIGUOUS


def test_a_login_is_made_where_one_is_set_and_its_password_is_never_shown() -> None:
    with FakeSmtp(username="ember", password=PASSWORD) as smtp:
        good, bad = channel_to(smtp, password=PASSWORD), channel_to(smtp, password=PASSWORD + "x")
        assert good.send(notice_of(IDLE), None).outcome == Outcome.DELIVERED
        refused = bad.send(notice_of(IDLE), None)
    assert refused == Receipt(outcome=Outcome.REFUSED, detail="the mail server refused the login (535)")
    assert PASSWORD not in repr((good, bad, refused, vars(good)))


def test_a_server_without_starttls_is_refused_when_it_is_asked_for(smtp: FakeSmtp) -> None:
    channel = EmailChannel("mail", host=smtp.host, port=smtp.port, sender=SENDER, recipients=("ops@example.com",))
    assert channel.send(notice_of(IDLE), None) == Receipt(
        outcome=Outcome.REFUSED, detail="the mail server offers no STARTTLS or login; see starttls"
    )
    assert smtp.mails == []


def test_a_server_that_is_not_there_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    channel = EmailChannel("mail", host="127.0.0.1", port=port, sender=SENDER, recipients=("ops@example.com",))
    assert channel.send(notice_of(IDLE), None) == Receipt(
        outcome=Outcome.RETRY, detail="no answer from the mail server (ConnectionRefusedError)"
    )
