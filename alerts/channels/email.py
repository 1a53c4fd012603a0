"""Mail over SMTP: text and HTML, in one thread for each subject."""

import smtplib
import ssl
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from hashlib import blake2b
from html import escape

from msgspec import MsgspecError

from alerts.channels.rendering import Rendered, render
from alerts.notices import Notice, Outcome, Receipt
from alerts.secrets import Secret
from alerts.wording import clean

SUBJECT_MAX = 200

_WIRE = policy.SMTP


class EmailChannel:
    """Sends to a list of addresses through one SMTP server."""

    def __init__(
        self,
        name: str,
        *,
        host: str,
        port: int = 587,
        sender: str,
        recipients: tuple[str, ...],
        starttls: bool = True,
        username: str | None = None,
        password: Secret | None = None,
        link_base: str | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        self.name = name
        self._host, self._port = host, port
        self._sender, self._recipients = sender, recipients
        self._starttls = starttls
        self._username, self._password = username, password
        self._link_base = link_base
        self._timeout_s = timeout_s

    def send(self, notice: Notice, reference: str | None) -> Receipt:
        """Hand the mail to the server; 4xx is for now, 5xx for good, and a loss after the data is unsure."""
        try:
            mail = self._mail(notice, render(notice, self._link_base), reference)
        except MsgspecError:
            return Receipt(outcome=Outcome.REFUSED, detail="the notice's body cannot be read")
        message_id = str(mail["Message-ID"])
        progress = _Progress()
        failure: Receipt | None = None
        try:
            with smtplib.SMTP(self._host, self._port, timeout=self._timeout_s) as server:
                self._hand_over(server, mail, progress)
        except smtplib.SMTPServerDisconnected:
            failure = _lost("the mail server hung up", progress)
        except smtplib.SMTPException as error:
            failure = _refusal(error)
        except OSError as error:
            failure = _lost(f"no answer from the mail server ({type(error).__name__})", progress)
        if failure is not None and not progress.accepted:
            return failure
        return Receipt(outcome=Outcome.DELIVERED, reference=reference or message_id, detail=progress.detail)

    def find(self, notice: Notice, reference: str | None) -> Receipt:
        """A mailbox cannot be looked into; the Message-ID is the same, so that mail programs can drop a repeat."""
        return Receipt(outcome=Outcome.AMBIGUOUS, detail="mail cannot be read back")

    def _hand_over(self, server: smtplib.SMTP, mail: EmailMessage, progress: "_Progress") -> None:
        if self._starttls:
            server.starttls(context=ssl.create_default_context())
        if self._username is not None and self._password is not None:
            server.login(self._username, self._password.reveal())
        server.ehlo_or_helo_if_needed()
        code, said = server.mail(self._sender)
        if code != 250:
            raise smtplib.SMTPSenderRefused(code, said, self._sender)
        answers = {recipient: server.rcpt(recipient) for recipient in self._recipients}
        refused = {recipient: answer for recipient, answer in answers.items() if answer[0] not in (250, 251)}
        if len(refused) == len(self._recipients):
            raise smtplib.SMTPRecipientsRefused(refused)
        progress.data_sent = True
        code, said = server.data(mail.as_bytes(policy=_WIRE))
        if code != 250:
            raise smtplib.SMTPDataError(code, said)
        progress.accepted = True
        if refused:
            progress.detail = f"{len(refused)} of {len(self._recipients)} recipients were refused"

    def _mail(self, notice: Notice, message: Rendered, reference: str | None) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = clean(message.title, SUBJECT_MAX)
        mail["From"] = self._sender
        mail["To"] = ", ".join(self._recipients)
        mail["Date"] = format_datetime(notice.at)
        mail["Message-ID"] = message_id(notice, self._sender)
        if reference is not None and reference != mail["Message-ID"]:
            mail["In-Reply-To"] = reference
            mail["References"] = reference
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text, cte="quoted-printable")
        mail.add_alternative(message.html or _html(message.text), subtype="html", cte="quoted-printable")
        return mail


class _Progress:
    """How far the conversation came, for what to think when it breaks."""

    data_sent = False
    accepted = False
    detail = ""


def message_id(notice: Notice, sender: str) -> str:
    """The same for every attempt at the same notice."""
    digest = blake2b(notice.notice_id.encode(), digest_size=16).hexdigest()
    domain = clean(sender.rpartition("@")[2].strip("<> "), 200) or "localhost"
    return f"<{digest}@{domain}>"


def _lost(detail: str, progress: _Progress) -> Receipt:
    """A connection that broke: once the data were sent, nobody can tell."""
    return Receipt(outcome=Outcome.AMBIGUOUS if progress.data_sent else Outcome.RETRY, detail=detail)


def _refusal(error: smtplib.SMTPException) -> Receipt:
    """What the server's refusal means: 4xx for now, 5xx for good."""
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return Receipt(outcome=Outcome.REFUSED, detail="the mail server offers no STARTTLS or login; see starttls")
    codes: list[int] = []
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = sorted({code for code, _ in error.recipients.values()})
    elif isinstance(error, smtplib.SMTPResponseException):
        codes = [error.smtp_code]
    for_good = bool(codes) and all(code >= 500 for code in codes)
    said = ", ".join(map(str, codes)) or type(error).__name__
    what = "refused the login" if isinstance(error, smtplib.SMTPAuthenticationError) else "refused the mail"
    return Receipt(outcome=Outcome.REFUSED if for_good else Outcome.RETRY, detail=f"the mail server {what} ({said})")


def _html(text: str) -> str:
    lines = "<br>\n".join(escape(line) for line in text.split("\n"))
    return f'<html><body style="font-family: sans-serif; line-height: 1.45">{lines}</body></html>'
