"""The ways to reach people, built from the config: channels, who decides whether to speak, the dead man's switch."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from msgspec import json
from rich.console import Console as Terminal

from alerts.channels.alertmanager import AlertmanagerChannel
from alerts.channels.email import EmailChannel
from alerts.channels.pagerduty import US_URL, PagerDutyChannel
from alerts.channels.posting import Poster
from alerts.channels.recorder import Line, RecorderChannel
from alerts.channels.slack import SlackChannel
from alerts.channels.slack_webhook import SlackWebhookChannel
from alerts.channels.teams import TeamsChannel
from alerts.channels.terminal import TerminalChannel
from alerts.channels.webhook import WebhookChannel
from alerts.charts import incident_chart
from alerts.incidents import Incident
from alerts.notices import Channel
from alerts.secrets import Secret
from alerts.speaking import SpeakingPolicy
from console import settings_people as people
from console.render import Renderer
from console.settings import Settings
from console.settings_build import budgets
from console.view import ConsoleView
from store.store import Store
from streams.speaking import Gate

SLACK_URL = "https://slack.com/api/"
Chart = Callable[[Incident], bytes | None]


def channels(
    settings: Settings, terminal: Terminal, link_base: str | None, chart: Chart | None = None
) -> dict[str, Channel]:
    """Every channel of the config by name. `chart`: the picture of an incident, as PNG."""
    return {one.name: _channel(one, terminal, link_base, chart) for one in settings.channels}


def _channel(wanted: people.Channel, terminal: Terminal, link_base: str | None, chart: Chart | None) -> Channel:
    if isinstance(wanted, people.SlackChannel):
        assert wanted.token is not None  # the settings refuse a channel without its secret
        token = Secret(wanted.token.get_secret_value())
        address = SLACK_URL if wanted.base_url is None else str(wanted.base_url)
        return SlackChannel(
            wanted.name,
            token=token,
            channel=wanted.channel,
            base_url=address,
            link_base=link_base,
            buttons=token if has_buttons(wanted) else None,
            chart=chart if wanted.charts else None,
        )
    if isinstance(wanted, people.PagerDutyChannel):
        assert wanted.routing_key is not None
        key = Secret(wanted.routing_key.get_secret_value())
        base_url = US_URL if wanted.base_url is None else str(wanted.base_url)
        return PagerDutyChannel(wanted.name, routing_key=key, base_url=base_url, link_base=link_base)
    if isinstance(wanted, people.EmailChannel):
        password = None if wanted.password is None else Secret(wanted.password.get_secret_value())
        return EmailChannel(
            wanted.name,
            host=wanted.host,
            port=wanted.port,
            sender=wanted.sender,
            recipients=tuple(wanted.to),
            starttls=wanted.starttls,
            username=wanted.username,
            password=password,
            link_base=link_base,
        )
    if isinstance(wanted, people.AlertmanagerChannel):
        bearer = None if wanted.token is None else Secret(wanted.token.get_secret_value())
        poster = Poster(str(wanted.url), inside=True)
        return AlertmanagerChannel(wanted.name, poster=poster, token=bearer, link_base=link_base)
    if isinstance(wanted, people.SlackWebhookChannel | people.TeamsChannel | people.WebhookChannel):
        return _hook(wanted, link_base)
    if isinstance(wanted, people.TerminalChannel):
        return TerminalChannel(wanted.name, terminal, link_base=link_base)
    return RecorderChannel(wanted.name, _sink(wanted.path))


def _hook(
    wanted: people.SlackWebhookChannel | people.TeamsChannel | people.WebhookChannel, link_base: str | None
) -> Channel:
    """A channel that is reached by a secret address."""
    assert wanted.url is not None  # the settings refuse a channel without its secret
    poster = Poster(wanted.url.get_secret_value(), allow_insecure_loopback=wanted.allow_insecure_loopback)
    if isinstance(wanted, people.SlackWebhookChannel):
        return SlackWebhookChannel(wanted.name, poster=poster, link_base=link_base)
    if isinstance(wanted, people.TeamsChannel):
        return TeamsChannel(wanted.name, poster=poster, link_base=link_base)
    assert wanted.secret is not None
    key = Secret(wanted.secret.get_secret_value())
    return WebhookChannel(wanted.name, poster=poster, secrets=(key,), link_base=link_base)


def incident_picture(settings: Settings, store: Store, clock: Callable[[], datetime]) -> Chart:
    """What draws the spend around an incident."""
    view, renderer = ConsoleView(store, budgets(settings), clock=clock), Renderer(capacity=4)

    def draw(incident: Incident) -> bytes | None:
        series = view.incident_series(incident)
        if not series:
            return None
        try:
            return renderer.png(incident_chart(incident, series))
        except ValueError:
            return None

    return draw


def has_buttons(wanted: people.SlackChannel) -> bool:
    """Whether someone listens to its buttons."""
    return wanted.signing_secret is not None or wanted.app_token is not None


def _sink(path: Path | None) -> Callable[[Line], None]:
    """Where a recorder writes: a file, or nothing beside the outbox itself."""
    if path is None:
        return lambda line: None

    def append(line: Line) -> None:
        with path.open("ab") as file:
            file.write(json.encode(line) + b"\n")

    return append


def speaking_policy(settings: Settings) -> SpeakingPolicy:
    """When the service keeps quiet."""
    wanted = settings.speaking
    return SpeakingPolicy(
        group_from=wanted.group_from,
        fleet_from=wanted.fleet_from,
        storm_from=wanted.storm_from,
        group_wait_s=wanted.group_wait.total_seconds(),
        group_interval_s=wanted.group_interval.total_seconds(),
        summary_every_s=wanted.summary_every.total_seconds(),
        repeat_after_s=wanted.repeat_after.total_seconds(),
        escalate_after_s=wanted.escalate_after.total_seconds(),
        pages_max=wanted.pages_max,
        pages_window_s=wanted.pages_window.total_seconds(),
        always_page_usd_per_hour=wanted.always_page_usd_per_hour,
    )


def gate(settings: Settings, store: Store) -> Gate:
    """Who decides whether a notice is said."""
    wakes = [one.name for one in settings.channels if isinstance(one, people.PagerDutyChannel)]
    return Gate(store, speaking_policy(settings), wakes=wakes)


def heart(settings: Settings) -> tuple[Poster, float] | None:
    """Where the dead man's switch is, and how often it is told."""
    wanted = settings.heartbeat
    if wanted.url is None:
        return None
    poster = Poster(wanted.url.get_secret_value(), allow_insecure_loopback=wanted.allow_insecure_loopback, timeout_s=5)
    return poster, wanted.every.total_seconds()
