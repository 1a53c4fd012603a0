"""The one place where things are built: settings in, a service out."""

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import metadata
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
from alerts.incidents import Incident, SeverityPolicy
from alerts.matching import Matcher, Op
from alerts.messages import title
from alerts.notices import Channel
from alerts.routing import Route, Router
from alerts.scale_down import Mode, ScaleDownPolicy
from alerts.scale_down_orders import TARGET_PREFIX
from alerts.secrets import Secret
from alerts.speaking import SpeakingPolicy
from alerts.targets.kubernetes import KubernetesTarget
from console import settings_people as people
from console.acting import freezes, scale_down_target
from console.render import Renderer
from console.settings import Settings
from console.settings_build import attribution_rules, budgets, price_book
from console.settings_people import MatcherParts
from console.view import ConsoleView
from detectors.anomaly import AnomalyDetector
from detectors.data_gap import DataGapDetector
from detectors.evidence import EvidenceRules
from detectors.idle import IdleDetector
from detectors.level import Level
from detectors.minute import Detector
from detectors.price_step import PriceStep
from detectors.scale_out import ScaleOutDetector
from detectors.spike import Spike
from detectors.stuck import StuckDetector
from detectors.unit_cost import UnitCost
from detectors.unpriced import UnpricedDetector
from store.store import Store
from streams.attribution import Attribution, TeamRule
from streams.back_pressure import BackPressure
from streams.challenger import ProphetPool
from streams.delivery import Delivery
from streams.digest_duty import DigestDuty
from streams.duties import Duties
from streams.firing import Firing
from streams.forecast_duty import ForecastDuty
from streams.kafka_login import KafkaLogin
from streams.keeper import DeadLetters, Keeper, no_unread
from streams.metrics import Metrics
from streams.pipeline import Limits, Pipeline
from streams.poison import PoisonLimit
from streams.present import Present
from streams.pricing import Pricer
from streams.reminders import Reminders
from streams.scale_down_duty import ScaleDownDuty
from streams.speaking import Gate
from streams.status import Statuses
from streams.targets import TargetChannel

SLACK_URL = "https://slack.com/api/"
SLACK_INTERVAL_S = 1.0  # the vendor's limit: about one message a second and channel
TARGET = "webhook"
Chart = Callable[[Incident], bytes | None]
PRICE_FLOOR_SHARE = 0.1  # of the floor for spend: a price is news that lasts
MINUTES_OLD_S = 300.0  # how old the newest minute may be when it is acted on, beside the allowed lateness


def now_utc() -> datetime:
    """The present."""
    return datetime.now(UTC)


def store_url(settings: Settings) -> str:
    """The database's address: as set, else SQLite in the data folder."""
    return settings.store.address.get_secret_value()


def limits(settings: Settings) -> Limits:
    """How the stream is bounded."""
    stream = settings.stream
    return Limits(
        allowed_lateness_s=int(stream.allowed_lateness.total_seconds()),
        silence_s=int(stream.silence_after.total_seconds()),
        horizon_h=stream.horizon_hours,
        retention_days=stream.retention_days,
        max_ahead_s=stream.max_events_ahead_s,
        max_message_bytes=stream.max_message_bytes,
        max_workloads=stream.max_workloads,
        max_devices=stream.max_devices,
    )


def severity(settings: Settings) -> SeverityPolicy:
    """From how many dollars on someone is told, or woken."""
    wanted = settings.severity
    return SeverityPolicy(
        page_usd_per_hour=wanted.page_usd_per_hour,
        page_usd=wanted.page_usd,
        warn_usd_per_hour=wanted.warn_usd_per_hour,
        warn_usd=wanted.warn_usd,
    )


def matcher(parts: MatcherParts) -> Matcher:
    """A matcher as routing knows it."""
    return Matcher(label=parts[0], op=Op(parts[1]), value=parts[2])


def router(settings: Settings) -> Router:
    """Who hears of what."""
    routes = [
        Route(match=tuple(matcher(parts) for parts in route.match), to=tuple(route.to), continue_=route.continue_)
        for route in settings.routes
    ]
    return Router(routes, tuple(settings.default_route), title)


def scale_down_policy(settings: Settings) -> ScaleDownPolicy:
    """How far scale-down may go; anything but observe needs mode, selector and target."""
    wanted = settings.scale_down
    return ScaleDownPolicy(
        mode=Mode(wanted.mode),
        enabled=wanted.mode != "observe",
        target=TARGET if wanted.target is not None else None,
        selector=tuple(matcher(parts) for parts in wanted.selector),
        protected=tuple(wanted.protected),
        warn_after_s=wanted.warn_after.total_seconds(),
        propose_after_s=wanted.propose_after.total_seconds(),
        act_after_s=wanted.act_after.total_seconds(),
        fresh_within_s=settings.stream.allowed_lateness.total_seconds() + MINUTES_OLD_S,
        warning_lead_s=wanted.warning_lead.total_seconds(),
        max_workloads_per_hour=wanted.max_per_hour,
        max_workloads_per_day=wanted.max_per_day,
        max_workloads_per_team_and_hour=wanted.max_per_team_and_hour,
        freezes=freezes(settings),
        max_gpu_ratio_per_hour=wanted.max_gpu_ratio_per_hour,
        max_gpu_ratio_per_day=wanted.max_gpu_ratio_per_day,
    )


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


def detectors(settings: Settings) -> tuple[IdleDetector, tuple[Detector, ...]]:
    """The idle detector, and all of them in the order in which they look."""
    wanted = settings.detection
    idle = IdleDetector(
        after_s=wanted.idle.after.total_seconds(),
        min_families=wanted.idle.min_families,
        rules=EvidenceRules(
            util_below_ratio=wanted.idle.util_below_ratio, active_below_ratio=wanted.idle.sm_below_ratio
        ),
    )
    usual, floor = wanted.anomaly, wanted.anomaly.floor_usd_per_hour
    anomaly = AnomalyDetector(
        min_history_h=float(usual.min_history_hours),
        prices=PriceStep(floor_usd_per_hour=PRICE_FLOOR_SHARE * floor),
        unit_cost=UnitCost(floor_usd_per_hour=floor, floor_ratio=usual.floor_ratio),
        spikes=Spike(floor_usd_per_hour=floor, floor_ratio=usual.floor_ratio, record_margin=usual.record_margin),
        levels=Level(floor_usd_per_hour=floor, floor_ratio=usual.floor_ratio),
    )
    gap = DataGapDetector(after_s=wanted.data_gap.after.total_seconds())
    return idle, (idle, gap, UnpricedDetector(), StuckDetector(), ScaleOutDetector(), anomaly)


def pipelines(settings: Settings, route: Router, store: Store) -> Callable[[int], Pipeline]:
    """What makes the pipeline of a partition."""
    book, rules = price_book(settings), attribution_rules(settings)
    team_rules = tuple(TeamRule(match=dict(rule.match), team=rule.team) for rule in rules)

    def build(partition: int) -> Pipeline:
        idle, watching = detectors(settings)
        return Pipeline(
            partition=partition,
            detectors=watching,
            statuses=Statuses(idle),
            pricer=Pricer(book),
            attribution=Attribution(team_rules),
            severity=severity(settings),
            route=route.decide,
            limits=limits(settings),
            recall=partial(store.read_cold, partition),
        )

    return build


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


def duties(
    settings: Settings,
    store: Store,
    route: Router,
    *,
    metrics: Metrics,
    owner: str,
    terminal: Terminal,
    link_base: str | None,
    pool: ProphetPool | None,
    clock: Callable[[], datetime] = now_utc,
    pressure: BackPressure | None = None,
) -> Duties:
    """Everything that the service does once."""
    policy = scale_down_policy(settings)
    target = scale_down_target(settings, link_base)
    observe = target.observe if isinstance(target, KubernetesTarget) else None
    acting = ScaleDownDuty(store, policy, route, metrics=metrics, observe=observe)
    ways: dict[str, Channel] = channels(settings, terminal, link_base, incident_picture(settings, store, clock))
    if target is not None:
        name = TARGET_PREFIX + TARGET
        ways[name] = TargetChannel(
            name, target, still_idle=acting.still_idle, may_have_acted=acting.may_have_acted, clock=clock
        )
    firing = {name: one for name, one in ways.items() if isinstance(one, AlertmanagerChannel)}
    edited = {one.name for one in settings.channels if isinstance(one, people.SlackChannel)}
    in_slack = people.SlackChannel | people.SlackWebhookChannel
    slow = {one.name: SLACK_INTERVAL_S for one in settings.channels if isinstance(one, in_slack)}
    mail = {one.name for one in settings.channels if isinstance(one, people.EmailChannel)}
    speaking = gate(settings, store)
    return Duties(
        store,
        delivery=Delivery(
            store,
            ways,
            clock,
            owner,
            min_intervals_s=slow,
            resend_when_unsure=mail,
            speaking=speaking,
            present=Present(store, edited),
        ),
        firing=Firing(store, firing),
        heartbeat=heart(settings),
        reminders=Reminders(store, speaking, title, settings.speaking.escalate_to),
        forecasts=forecast_duty(settings, store, route, owner, pool),
        scale_down=acting,
        digest=digest_duty(settings, store),
        metrics=metrics,
        owner=owner,
        clock=clock,
        retention=timedelta(days=settings.stream.retention_days),
        pressure=pressure,
    )


def heart(settings: Settings) -> tuple[Poster, float] | None:
    """Where the dead man's switch is, and how often it is told."""
    wanted = settings.heartbeat
    if wanted.url is None:
        return None
    poster = Poster(wanted.url.get_secret_value(), allow_insecure_loopback=wanted.allow_insecure_loopback, timeout_s=5)
    return poster, wanted.every.total_seconds()


def forecast_duty(
    settings: Settings, store: Store, route: Router, owner: str, pool: ProphetPool | None
) -> ForecastDuty:
    """The forecasts and the budgets."""
    return ForecastDuty(
        store, budgets=budgets(settings), severity=severity(settings), router=route, owner=owner, pool=pool
    )


def digest_duty(settings: Settings, store: Store) -> DigestDuty:
    """The weekly report."""
    wanted = settings.digest
    return DigestDuty(
        store,
        budgets=budgets(settings),
        channels=tuple(wanted.to) if wanted.enabled else (),
        day=wanted.day,
        at=wanted.at,
        timezone=wanted.timezone,
    )


def keeper(
    settings: Settings,
    store: Store,
    route: Router,
    *,
    owner: str,
    metrics: Metrics,
    dead_letters: DeadLetters | None = None,
    behind: Callable[[int], frozenset[str]] = no_unread,
    clock: Callable[[], datetime] = now_utc,
    pressure: BackPressure | None = None,
) -> Keeper:
    """What holds partitions. Without dead letters, one process reads one log of all topics."""
    return Keeper(
        store=store,
        build=pipelines(settings, route, store),
        owner=owner,
        clock=clock,
        metrics=metrics,
        dead_letters=dead_letters,
        behind=behind,
        pressure=pressure,
        poison=PoisonLimit(
            max_in_a_row=settings.stream.max_bad_in_a_row,
            max_ratio=settings.stream.max_bad_ratio,
            window=settings.stream.bad_window,
        ),
        poison_together=dead_letters is None,
        route=route.decide,
    )


def console_token(settings: Settings) -> str:
    """The token of the config, else one of its own, kept in the data folder so that links outlive a restart."""
    if settings.console.token is not None:
        return settings.console.token.get_secret_value()
    path = settings.store.data_dir / "console-token"
    if path.exists():
        return path.read_text(encoding="utf-8").strip()
    path.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_urlsafe(32)
    path.touch(mode=0o600)
    path.write_text(token + "\n", encoding="utf-8")
    return token


def kafka_topics(settings: Settings) -> Mapping[str, str]:
    """Physical topics by logical name."""
    topics = settings.kafka.topics
    return {
        "gpu.samples": topics.gpu_samples,
        "token.usage": topics.token_usage,
        "billing.charges": topics.charges,
        "ops.changes": topics.changes,
    }


def kafka_login(settings: Settings) -> KafkaLogin:
    """How all clients log in."""
    wanted = settings.kafka.security
    return KafkaLogin(
        protocol=wanted.protocol,
        sasl_mechanism=wanted.sasl_mechanism,
        username=wanted.username,
        password=None if wanted.password is None else wanted.password.get_secret_value(),
        ca_file=wanted.ca_file,
    )


def kafka_bootstrap(settings: Settings) -> str:
    """The brokers' addresses, with commas."""
    return ",".join(settings.kafka.bootstrap_servers)


def version() -> str:
    """The installed version."""
    try:
        return metadata.version("emberwatch")
    except metadata.PackageNotFoundError:
        return "0+source"
