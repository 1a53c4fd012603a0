"""What a config means once it is read."""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr

from alerts.scale_down import Mode
from console.settings import Settings, load_settings, parse_settings
from console.settings_build import Rule, attribution_rules, budgets, price_book
from console.settings_errors import SettingsError
from console.settings_people import Channel, Digest, RecorderChannel, SlackChannel
from console.settings_scale_down import WebhookTarget
from console.settings_sources import Sources
from detectors.budget import Budget
from streams.pricing import GpuPrice, PriceBook, TokenPrice

JANUARY = datetime(2026, 1, 1, tzinfo=UTC)

DEFAULTS = {
    "prices": {"gpu": (), "tokens": ()},
    "budgets": (),
    "attribution": (),
    "stream": {
        "allowed_lateness": timedelta(seconds=120),
        "silence_after": timedelta(minutes=1),
        "horizon_hours": 48,
        "retention_days": 400,
        "max_events_ahead_s": 300,
        "max_message_bytes": 1048576,
        "max_workloads": 100_000,
        "max_devices": 200_000,
        "max_bad_in_a_row": 1_000,
        "max_bad_ratio": 0.5,
        "bad_window": 10_000,
    },
    "detection": {
        "idle": {
            "after": timedelta(minutes=30),
            "util_below_ratio": 0.05,
            "sm_below_ratio": 0.05,
            "min_families": 2,
        },
        "anomaly": {"min_history_hours": 48, "floor_usd_per_hour": 0.5, "floor_ratio": 0.3, "record_margin": 1.6},
        "data_gap": {"after": timedelta(minutes=15)},
    },
    "severity": {"page_usd_per_hour": 100.0, "page_usd": 1000.0, "warn_usd_per_hour": 0.5, "warn_usd": 2.0},
    "channels": ({"type": "recorder", "name": "recorder", "path": None},),
    "routes": (),
    "default_route": ("recorder",),
    "digest": {"enabled": True, "day": "monday", "at": time(9, 0), "timezone": "UTC", "to": ()},
    "scale_down": {
        "mode": "observe",
        "selector": (),
        "target": None,
        "protected": (),
        "warn_after": timedelta(minutes=30),
        "propose_after": timedelta(minutes=60),
        "act_after": timedelta(hours=2),
        "warning_lead": timedelta(minutes=15),
        "max_per_hour": 4,
        "max_per_day": 20,
        "max_per_team_and_hour": 4,
        "max_gpu_ratio_per_hour": 0.05,
        "max_gpu_ratio_per_day": 0.1,
        "freeze": (),
    },
    "store": {"data_dir": Path("emberwatch-data"), "url": None},
    "kafka": {
        "bootstrap_servers": ("localhost:9092",),
        "group": "emberwatch",
        "topics": {
            "gpu_samples": "gpu.samples",
            "token_usage": "token.usage",
            "charges": "billing.charges",
            "changes": "ops.changes",
        },
        "partitions": 12,
        "replication": 1,
        "transport": "slices",
        "max_batch_bytes": 67_108_864,
        "dead_letter_topic": "emberwatch.dead-letters",
        "security": {
            "protocol": "PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-512",
            "username": None,
            "password": None,
            "password_file": None,
            "ca_file": None,
        },
        "retention_days": 7,
    },
    "console": {"host": "127.0.0.1", "port": 8787, "token": None, "token_file": None, "public_url": None},
    "metrics": {"host": "127.0.0.1", "port": 9464},
    "log": {"level": "info", "format": "console"},
}


def read(text: str, **environ: str) -> Settings:
    return parse_settings(text, "c.yaml", Sources(environ=environ))


def test_defaults_are_safe():
    assert load_settings(None).model_dump() == DEFAULTS
    assert load_settings(None).store.address == SecretStr("sqlite:///emberwatch-data/emberwatch.db")
    assert load_settings(None).scale_down.allowed is Mode.OBSERVE
    assert load_settings(None).digest.active is False


@pytest.mark.parametrize("text", ["{}", "# all defaults\n", "---\n...\n", "log: {}\nprices: {gpu: []}\n"])
def test_a_config_that_says_nothing_gives_the_defaults(text: str):
    assert read(text) == Settings()


def test_prices_are_exact_and_dated():
    settings = read("""\
prices:
  gpu:
    - {model: "*H100*", usd_per_hour: 4.10, from: 2026-01-01}
    - {model: "*", usd_per_hour: 12345678.123456789012345, from: "2026-01-01T01:00:00+01:00"}
  tokens:
    - {provider: openai, model: gpt-5-mini, from: 2026-01-01,
       input_usd_per_million: 0.25, cache_read_usd_per_million: 2.5e-2, output_usd_per_million: 2}
""")

    assert price_book(settings) == PriceBook(
        gpu=(
            GpuPrice(model="*H100*", usd_per_hour=Decimal("4.10"), since=JANUARY),
            GpuPrice(model="*", usd_per_hour=Decimal("12345678.123456789012345"), since=JANUARY),
        ),
        tokens=(
            TokenPrice(
                provider="openai",
                model="gpt-5-mini",
                since=JANUARY,
                input_usd_per_million=Decimal("0.25"),
                output_usd_per_million=Decimal(2),
                cache_read_usd_per_million=Decimal("0.025"),
                cache_write_usd_per_million=None,
            ),
        ),
    )
    assert str(price_book(settings).gpu[0].usd_per_hour) == "4.10"


def test_budgets_and_owners_keep_their_order():
    settings = read("""\
budgets:
  - {name: search, match: {team: search}, usd_per_month: 12000}
  - {name: all, match: {}, usd_per_month: 0.5, timezone: Europe/Berlin}
attribution:
  - {match: {label.team-id: "47*", cluster: prod}, team: search}
  - {match: {}, team: rest}
""")

    assert budgets(settings) == (
        Budget(name="search", usd_per_month=12000.0, match={"team": "search"}),
        Budget(name="all", usd_per_month=0.5, match={}, timezone="Europe/Berlin"),
    )
    assert attribution_rules(settings) == (
        Rule(match=(("label.team-id", "47*"), ("cluster", "prod")), team="search"),
        Rule(match=(), team="rest"),
    )


def test_matchers_are_taken_apart():
    settings = read("""\
channels: [{type: terminal}]
routes:
  - match: ["severity=page", " team =~ a=b|c ", "kind!=idle", "workload!~x/.*", "team="]
    to: [terminal]
    continue: true
""")

    (route,) = settings.routes
    assert route.match == (
        ("severity", "=", "page"),
        ("team", "=~", "a=b|c"),
        ("kind", "!=", "idle"),
        ("workload", "!~", "x/.*"),
        ("team", "=", ""),
    )
    assert (route.to, route.continue_) == (("terminal",), True)


def test_the_only_channel_is_the_default_route():
    assert read("channels: [{type: terminal}]").default_route == ("terminal",)
    assert read("channels: [{type: recorder, name: book}]").default_route == ("book",)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86400), ("1h30m", 5400), ("0s", 0), ("120", 120)],
)
def test_durations_are_read(written: str, seconds: int):
    assert read(f"stream: {{allowed_lateness: {written}}}").stream.allowed_lateness == timedelta(seconds=seconds)


@pytest.mark.parametrize("written", ["", "1.5h", "2 h", "m", "-5m", "1m1h", "5x", "1.5", "true", "[1]", "'١m'"])
def test_what_is_no_duration_is_told(written: str):
    with pytest.raises(SettingsError, match=r"stream\.allowed_lateness"):
        read(f"stream: {{allowed_lateness: {written}}}")


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("sqlite:///x.db", "sqlite:///x.db"),
        ("postgresql://u@h/d", "postgresql+psycopg://u@h/d"),
        ('"postgresql://u:${env:PASSWORD}@h/d"', "postgresql+psycopg://u:canary@h/d"),
        ('"${env:ADDRESS}"', "postgresql+psycopg://u:p@h/d"),
    ],
)
def test_the_store_has_an_address(written: str, address: str):
    settings = read(f"store: {{url: {written}}}", PASSWORD="canary", ADDRESS="postgresql://u:p@h/d")

    assert settings.store.address == SecretStr(address)


def test_numbers_may_come_from_the_environment():
    settings = read(
        'console: {port: "${env:PORT}"}\nprices: {gpu: [{model: x, usd_per_hour: "${env:USD}", from: 2026-01-01}]}',
        PORT="80",
        USD="4.10",
    )

    assert settings.console.port == 80
    assert str(settings.prices.gpu[0].usd_per_hour) == "4.10"


def test_brokers_may_be_one_or_many():
    assert read("kafka: {bootstrap_servers: 'a:1, b:2'}").kafka.bootstrap_servers == ("a:1", "b:2")
    assert read("kafka: {bootstrap_servers: [a:1, '[::1]:2']}").kafka.bootstrap_servers == ("a:1", "[::1]:2")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "'::1'"])
def test_a_console_on_this_machine_needs_no_token(host: str):
    assert read(f"console: {{host: {host}}}").console.token is None


def test_a_digest_is_active_once_somebody_reads_it():
    assert read("digest: {to: [recorder]}").digest.active is True
    assert read("digest: {to: [recorder], enabled: false}").digest.active is False
    with pytest.raises(ValueError, match="true without a recipient"):
        Digest(enabled=True)


def test_settings_can_be_made_in_code():
    channels: tuple[Channel, ...] = (
        RecorderChannel(type="recorder", name="book"),
        SlackChannel(type="slack", name="ops", channel="C1", token=SecretStr("xoxb-1")),
    )

    settings = Settings(channels=channels, default_route=("book",))

    assert settings.channels == channels
    with pytest.raises(ValueError, match="no secret"):
        SlackChannel(type="slack", name="ops", channel="C1")


def test_a_webhook_on_this_machine_may_be_unencrypted_where_that_is_said():
    url = SecretStr("http://127.0.0.1:9000/hook")

    target = WebhookTarget(type="webhook", url=url, secret=SecretStr("whsec_x"), allow_insecure_loopback=True)

    assert target.url == url


def test_an_alias_is_read_where_it_stands():
    settings = read(
        "budgets:\n  - {name: a, match: &m {team: x}, usd_per_month: 1}\n  - {name: b, match: *m, usd_per_month: 2}"
    )

    assert [row.match for row in settings.budgets] == [{"team": "x"}, {"team": "x"}]


@pytest.mark.parametrize(
    ("row", "option"),
    [
        ("{}", ""),
        ("{timezone: UTC}", ""),
        ("{from: 2026-12-20, until: 2026-12-20}", ".until"),
        ('{begins: "08:00", ends: "08:00"}', ".ends"),
    ],
)
def test_a_freeze_that_never_holds_is_refused(row: str, option: str, tmp_path: Path):
    with pytest.raises(SettingsError) as caught:
        parse_settings(f"scale_down: {{freeze: [{row}]}}", "c.yaml", Sources(tmp_path))

    assert [one.option for one in caught.value.problems] == [f"scale_down.freeze[0]{option}"]


def test_a_freeze_of_nights_is_read(tmp_path: Path):
    text = 'scale_down: {freeze: [{days: [friday], begins: "22:00", ends: "06:00", timezone: Europe/Berlin}]}'

    (row,) = parse_settings(text, "c.yaml", Sources(tmp_path)).scale_down.freeze

    assert (row.days, row.begins, row.ends, row.timezone) == (("friday",), time(22), time(6), "Europe/Berlin")
