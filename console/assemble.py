"""The one place where things are built: settings in, a service out."""

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import metadata
from pathlib import Path

from msgspec import json
from rich.console import Console as Terminal

from alerts.channels.email import EmailChannel
from alerts.channels.pagerduty import US_URL, PagerDutyChannel
from alerts.channels.recorder import Line, RecorderChannel
from alerts.channels.slack import SlackChannel
from alerts.channels.terminal import TerminalChannel
from alerts.incidents import SeverityPolicy
from alerts.matching import Matcher, Op
from alerts.messages import title
from alerts.notices import Channel
from alerts.routing import Route, Router
from alerts.scale_down import Mode, ScaleDownPolicy
from alerts.scale_down_orders import TARGET_PREFIX
from alerts.secrets import Secret
from alerts.targets.kubernetes import KubernetesTarget
from console import settings_people as people
from console.acting import freezes, scale_down_target
from console.settings import Settings
from console.settings_build import attribution_rules, budgets, price_book
from console.settings_people import MatcherParts
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
from streams.commits import DeadLetters
from streams.delivery import Delivery
from streams.digest_duty import DigestDuty
from streams.duties import Duties
from streams.forecast_duty import ForecastDuty
from streams.kafka_login import KafkaLogin
from streams.keeper import Keeper, no_unread
from streams.metrics import Metrics
from streams.pipeline import Limits, Pipeline
from streams.poison import PoisonLimit
from streams.pricing import Pricer
from streams.scale_down_duty import ScaleDownDuty
from streams.status import Statuses
from streams.targets import TargetChannel

SLACK_URL = "https://slack.com/api/"
SLACK_INTERVAL_S = 1.0  # the vendor's limit: about one message a second and channel
TARGET = "webhook"
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


def channels(settings: Settings, terminal: Terminal, link_base: str | None) -> dict[str, Channel]:
    """Every channel of the config by name."""
    return {one.name: _channel(one, terminal, link_base) for one in settings.channels}


def _channel(wanted: people.Channel, terminal: Terminal, link_base: str | None) -> Channel:
    if isinstance(wanted, people.SlackChannel):
        assert wanted.token is not None  # the settings refuse a channel without its secret
        token = Secret(wanted.token.get_secret_value())
        address = SLACK_URL if wanted.base_url is None else str(wanted.base_url)
        return SlackChannel(wanted.name, token=token, channel=wanted.channel, base_url=address, link_base=link_base)
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
    if isinstance(wanted, people.TerminalChannel):
        return TerminalChannel(wanted.name, terminal, link_base=link_base)
    return RecorderChannel(wanted.name, _sink(wanted.path))


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
    ways: dict[str, Channel] = channels(settings, terminal, link_base)
    if target is not None:
        name = TARGET_PREFIX + TARGET
        ways[name] = TargetChannel(
            name, target, still_idle=acting.still_idle, may_have_acted=acting.may_have_acted, clock=clock
        )
    slow = {one.name: SLACK_INTERVAL_S for one in settings.channels if isinstance(one, people.SlackChannel)}
    mail = {one.name for one in settings.channels if isinstance(one, people.EmailChannel)}
    return Duties(
        store,
        delivery=Delivery(store, ways, clock, owner, min_intervals_s=slow, resend_when_unsure=mail),
        forecasts=forecast_duty(settings, store, route, owner, pool),
        scale_down=acting,
        digest=digest_duty(settings, store),
        metrics=metrics,
        owner=owner,
        clock=clock,
        retention=timedelta(days=settings.stream.retention_days),
        pressure=pressure,
    )


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
