"""Who is told, how, and how loudly: channels, routes, severity and the weekly digest."""

import re
from datetime import time
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from alerts.incidents import Severity as Loudness
from alerts.secrets import Secret as Hidden
from alerts.targets.addresses import AddressRefused, check_url
from alerts.targets.signature import SignatureError, check_secret
from console.settings_types import (
    HttpUrl,
    Number,
    Port,
    Secret,
    Section,
    Text,
    TimeOfDay,
    Timezone,
    fault,
    shown,
)
from detectors.findings import Cause, Kind

MATCHER_LABELS = ("severity", "kind", "cause", "team", "workload", "cluster", "namespace", "name", "model", "budget")
_MATCHER = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.]*)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)
_VALUES = {
    "severity": tuple(str(value) for value in Loudness),
    "kind": tuple(str(value) for value in Kind),
    "cause": tuple(str(value) for value in Cause),
}

MatcherParts = tuple[str, str, str]


def _matcher(value: object) -> MatcherParts:
    """`label=value` taken apart: label, operator, value."""
    if isinstance(value, tuple):
        return value
    match = _MATCHER.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise fault(shown(value), "label=value, label!=value, label=~regex or label!~regex")
    label, operator, wanted = match.groups()
    if label not in MATCHER_LABELS:
        raise fault(f"the label {shown(label)}", f"one of {', '.join(MATCHER_LABELS)}", known=MATCHER_LABELS)
    if operator in ("=~", "!~"):
        try:
            re.compile(wanted)
        except (re.error, OverflowError, RecursionError):
            raise fault(f"{shown(wanted)}, which is no regular expression", "a regular expression of Python") from None
    elif label in _VALUES and wanted not in _VALUES[label]:
        raise fault(f"the {label} {shown(wanted)}", f"one of {', '.join(_VALUES[label])}", known=_VALUES[label])
    return label, operator, wanted


MatcherText = Annotated[
    MatcherParts,
    BeforeValidator(_matcher),
    WithJsonSchema({"type": "string", "pattern": r"^\s*[A-Za-z_][A-Za-z0-9_.]*\s*(=~|!~|!=|=)"}),
]
ChannelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


def _email(value: str) -> str:
    if not re.fullmatch(r"[^\s@<>,;]+@[^\s@<>,;]+", value):
        raise fault(shown(value), "an e-mail address such as costs@example.com")
    return value


UserId = Annotated[str, Field(pattern=r"^[UW][A-Z0-9]{2,30}$")]
Email = Annotated[str, AfterValidator(_email)]


class RecorderChannel(Section):
    """Writes down what would be said, and sends nothing."""

    type: Literal["recorder"] = Field(description="Writes down, and sends nothing.")
    name: ChannelName = Field(description="Name of the channel, as routes and the digest call it; unique.")
    path: Path | None = Field(default=None, description="JSONL file to append to; absent: kept in the store only.")


class TerminalChannel(Section):
    """Shows messages on standard output."""

    type: Literal["terminal"] = Field(description="Shows on standard output.")
    name: ChannelName = Field(
        default="terminal", description="Name of the channel, as routes and the digest call it; unique."
    )


class SlackChannel(Section):
    """One message for each incident in a Slack channel, edited in place."""

    needed_secrets: ClassVar[tuple[str, ...]] = ("token",)

    type: Literal["slack"] = Field(description="Tells a Slack channel.")
    name: ChannelName = Field(description="Name of the channel, as routes and the digest call it; unique.")
    channel: Text = Field(description="Id of the Slack channel, such as C0123456789; an id survives renaming.")
    token: Secret | None = Field(default=None, description="Bot token (xoxb-...), as a reference.")
    token_file: Path | None = Field(default=None, description="File that holds the bot token.")
    signing_secret: Secret | None = Field(
        default=None,
        description="Signing secret of the app, as a reference: buttons, pressed by way of `/slack/press`.",
    )
    signing_secret_file: Path | None = Field(default=None, description="File that holds the signing secret.")
    app_token: Secret | None = Field(
        default=None,
        description="App-level token (xapp-...), as a reference: buttons by Socket Mode, no public address.",
    )
    app_token_file: Path | None = Field(default=None, description="File that holds the app-level token.")
    operators: tuple[UserId, ...] = Field(
        default=(),
        description="Slack users (U...) whose presses count, but for a shutdown; none: everyone in the channel.",
    )
    approvers: tuple[UserId, ...] = Field(
        default=(), description="Slack users (U...) who may approve a shutdown; none: nobody may."
    )
    workspace: Annotated[str, Field(pattern=r"^[TE][A-Z0-9]{2,30}$")] | None = Field(
        default=None, description="Id of the workspace (T...) that presses must come from; absent: the app's own."
    )
    charts: bool = Field(
        default=True, description="Put a picture into the thread of each incident. Needs the scope files:write."
    )
    base_url: HttpUrl | None = Field(
        default=None, description="Address of the Slack API; absent: Slack's own. For proxies and tests."
    )


class PagerDutyChannel(Section):
    """An alert in PagerDuty for each incident: triggered, acknowledged, resolved."""

    needed_secrets: ClassVar[tuple[str, ...]] = ("routing_key",)

    type: Literal["pagerduty"] = Field(description="Alerts in PagerDuty.")
    name: ChannelName = Field(description="Name of the channel, as routes and the digest call it; unique.")
    routing_key: Secret | None = Field(default=None, description="Integration key of Events API v2, as a reference.")
    routing_key_file: Path | None = Field(
        default=None, description="File that holds the integration key of Events API v2."
    )
    base_url: HttpUrl | None = Field(
        default=None, description="Address of the Events API; absent: PagerDuty's own (US)."
    )


class EmailChannel(Section):
    """Mail over SMTP."""

    type: Literal["email"] = Field(description="Sends mail.")
    name: ChannelName = Field(description="Name of the channel, as routes and the digest call it; unique.")
    host: Text = Field(description="SMTP server.")
    port: Port = Field(default=587, description="Port of the SMTP server.")
    sender: Email = Field(alias="from", description="Address that the mail comes from.")
    to: tuple[Email, ...] = Field(min_length=1, description="Addresses that the mail goes to.")
    username: Text | None = Field(default=None, description="User of the SMTP login; absent: no login.")
    password: Secret | None = Field(default=None, description="Password of the SMTP login, as a reference.")
    password_file: Path | None = Field(default=None, description="File that holds the password of the SMTP login.")
    starttls: bool = Field(default=True, description="Encrypt before anything is sent. A login is refused without it.")

    @model_validator(mode="after")
    def _login(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise fault("half a login", "username and password_file together, or neither", option="username")
        if self.password is not None and not self.starttls:
            raise fault("a login without encryption", "true: the password would travel in the clear", option="starttls")
        return self


def check_address(url: Secret | None, loopback: bool) -> None:
    """Raises a fault for a secret address that nothing may be sent to."""
    if url is None:
        return
    try:
        check_url(url.get_secret_value(), allow_insecure_loopback=loopback)
    except AddressRefused:
        raise fault("an address that can't be used (not shown)", "https:// and a host", option="url") from None


class _Hook(Section):
    """What all channels have that are reached by an address which is a secret itself."""

    needed_secrets: ClassVar[tuple[str, ...]] = ("url",)

    name: ChannelName = Field(description="Name of the channel, as routes and the digest call it; unique.")
    url: Secret | None = Field(default=None, description="Its address, https, as a reference. Never shown.")
    url_file: Path | None = Field(default=None, description="File that holds the address.")
    allow_insecure_loopback: bool = Field(
        default=False, description="Allow http:// to this machine, for trying it out."
    )

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        check_address(self.url, self.allow_insecure_loopback)
        return self


class SlackWebhookChannel(_Hook):
    """Slack by an incoming webhook: no buttons, no threads, each change a message of its own."""

    type: Literal["slack_webhook"] = Field(description="Tells a Slack channel by an incoming webhook.")


class TeamsChannel(_Hook):
    """Microsoft Teams by the address of a workflow."""

    type: Literal["teams"] = Field(description="Tells a Teams channel by a workflow.")


class WebhookChannel(_Hook):
    """A receiver of one's own, which gets each notice as signed JSON."""

    needed_secrets: ClassVar[tuple[str, ...]] = ("url", "secret")

    type: Literal["webhook"] = Field(description="Sends signed JSON (Standard Webhooks).")
    secret: Secret | None = Field(default=None, description="Signing key (whsec_...), as a reference.")
    secret_file: Path | None = Field(default=None, description="File that holds the signing key.")

    @model_validator(mode="after")
    def _signs(self) -> Self:
        try:
            check_secret(Hidden("" if self.secret is None else self.secret.get_secret_value()))
        except SignatureError:
            raise fault(
                "a key that can't sign (not shown)", "whsec_ and base64 of 24 to 64 bytes", option="secret"
            ) from None
        return self


class AlertmanagerChannel(Section):
    """An Alertmanager of one's own: each incident is an alert, sent again before it expires."""

    type: Literal["alertmanager"] = Field(description="Alerts in Alertmanager (API v2).")
    name: ChannelName = Field(description="Name of the channel, as routes and the digest call it; unique.")
    url: HttpUrl = Field(description="Address of the server, such as http://alertmanager:9093.")
    token: Secret | None = Field(default=None, description="Bearer for what stands before it, as a reference.")
    token_file: Path | None = Field(default=None, description="File that holds the bearer.")


Channel = Annotated[
    RecorderChannel
    | TerminalChannel
    | SlackChannel
    | SlackWebhookChannel
    | PagerDutyChannel
    | AlertmanagerChannel
    | EmailChannel
    | TeamsChannel
    | WebhookChannel,
    Field(discriminator="type"),
]


class Route(Section):
    """Who hears of the incidents that match. Routes are tried in order."""

    match: tuple[MatcherText, ...] = Field(
        default=(),
        description=(
            "Matchers: label=value, label!=value, label=~regex, label!~regex; all must hold, a regex for the whole. "
            f"Labels: {', '.join(MATCHER_LABELS)}."
        ),
    )
    to: tuple[ChannelName, ...] = Field(min_length=1, description="Names of channels.")
    continue_: bool = Field(default=False, alias="continue", description="Go on to the routes below after a match.")


class Severity(Section):
    """From how many dollars on someone is told, or woken. Below both: recorded, and in the digest."""

    page_usd_per_hour: Number = Field(
        default=100.0, gt=0.0, le=1e9, description="Page at this rate of excess or waste, in USD an hour."
    )
    page_usd: Number = Field(default=1000.0, gt=0.0, le=1e12, description="Page at this sum so far, in USD.")
    warn_usd_per_hour: Number = Field(default=0.5, ge=0.0, le=1e9, description="Warn at this rate, in USD an hour.")
    warn_usd: Number = Field(default=2.0, ge=0.0, le=1e12, description="Warn at this sum so far, in USD.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.warn_usd_per_hour > self.page_usd_per_hour:
            raise fault(
                f"{self.warn_usd_per_hour:g}",
                f"at most page_usd_per_hour, {self.page_usd_per_hour:g}",
                option="warn_usd_per_hour",
            )
        if self.warn_usd > self.page_usd:
            raise fault(f"{self.warn_usd:g}", f"at most page_usd, {self.page_usd:g}", option="warn_usd")
        return self


class Digest(Section):
    """The weekly report."""

    enabled: bool = Field(default=True, description="Send it. It is sent only where `to` names a channel.")
    day: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] = Field(
        default="monday", description="Day on which it is sent, for the seven days before."
    )
    at: TimeOfDay = Field(default=time(9, 0), description='Time of day at which it is sent, in quotes: "09:00".')
    timezone: Timezone = Field(default="UTC", description="Zone of `day` and `at`, and of the week that is reported.")
    to: tuple[ChannelName, ...] = Field(default=(), description="Names of channels; none: no digest.")

    @property
    def active(self) -> bool:
        """Whether a digest is sent."""
        return self.enabled and bool(self.to)

    @model_validator(mode="after")
    def _has_reader(self) -> Self:
        if "enabled" in self.model_fields_set and self.enabled and not self.to:
            raise fault("true without a recipient", "`to` beside it, with the names of channels", option="enabled")
        return self
