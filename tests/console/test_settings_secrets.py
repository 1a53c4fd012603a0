"""Secrets reach the settings, and nothing that is shown."""

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from console.config_check import as_text, schema, summary
from console.settings import Settings, load_settings, parse_settings
from console.settings_errors import SettingsError
from console.settings_people import EmailChannel, PagerDutyChannel, SlackChannel
from console.settings_sources import MAX_SECRET_BYTES, Sources

CANARY = "kanarienvogel"
CONFIG = """\
channels:
  - {type: slack, name: slack, channel: C1, token_file: slack.txt}
  - {type: pagerduty, name: pd, routing_key: "${file:pd.txt}"}
  - {type: email, name: mail, host: h, from: a@b.c, to: [d@e.f], username: u, password: "${env:SMTP}"}
default_route: [slack]
console: {host: 0.0.0.0, token: "${env:SMTP}"}
store: {url: "postgresql://u:${env:SMTP}@h/d"}
kafka: {security: {protocol: SASL_SSL, username: u, password_file: ./pd.txt}}
scale_down:
  mode: auto
  selector: ["cluster=dev"]
  target: {type: webhook, url: "https://example.com/kanarienvogel", secret_file: ./pd.txt}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "slack.txt").write_text(f"xoxb-{CANARY}\n")
    (tmp_path / "pd.txt").write_text(f" {CANARY} \r\n")
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def settings(config: Path) -> Settings:
    return load_settings(config, {"SMTP": CANARY})


def test_secrets_are_read(settings: Settings):
    slack, pagerduty, mail = settings.channels

    assert isinstance(slack, SlackChannel)
    assert isinstance(pagerduty, PagerDutyChannel)
    assert isinstance(mail, EmailChannel)
    assert settings.scale_down.target is not None
    assert slack.token == SecretStr(f"xoxb-{CANARY}")
    assert slack.token_file == Path("slack.txt")
    assert pagerduty.routing_key == mail.password == settings.console.token == SecretStr(CANARY)
    assert settings.kafka.security.password == settings.scale_down.target.secret == SecretStr(CANARY)
    assert settings.store.address == SecretStr(f"postgresql+psycopg://u:{CANARY}@h/d")


def test_secrets_are_shown_nowhere(settings: Settings):
    shown = (
        repr(settings),
        str(settings),
        f"{settings.channels}",
        settings.model_dump_json(),
        str(settings.model_dump()),
        json.dumps(summary(settings)),
        as_text(summary(settings), "c.yaml"),
        json.dumps(schema()),
    )

    assert [text for text in shown if CANARY in text] == []


FAULTY = [
    ("console: {token: kanarienvogel}", "a value that is not a reference"),
    ("console: {token_file: kanarienvogel}", "a name that is no path"),
    ("console: {token: '${file:./kanarienvogel-is-a-name}'}", "a file that does not exist"),
    ("console: {token: '${env:kanarien-vogel}'}", r"\$\{env:\.\.\.\}, an environment variable"),
    ("console: {token: '${kanarienvogel}'}", "a reference of an unknown form"),
    ("console: {tokn: kanarienvogel}", "an unknown option"),
    ("console: {port: '${env:SECRET}'}", "the value of a reference"),
    ("console: {host: '${env:SECRET} x'}", r"the value of a reference \(not shown\)"),
    ("console: {public_url: '${env:SECRET}'}", "an address that begins"),
    ("console: {public_url: 'https://u:kanarienvogel@h'}", r"https://\[hidden\]@h"),
    ("log: {level: 'x${env:SECRET}'}", "the value of a reference"),
    ("log: {level: xoxb-1-kanarienvogel}", r"\[hidden\]"),
    ("stream: {silence_after: '${env:SECRET}'}", "the value of a reference"),
    ("digest: {at: '${env:SECRET}'}", "the value of a reference"),
    ("digest: {timezone: '${env:SECRET}'}", "the value of a reference"),
    ("routes: [{match: ['${env:SECRET}'], to: [recorder]}]", "the value of a reference"),
    ("routes: [{match: ['team=~(${env:SECRET}'], to: [recorder]}]", "regular expression"),
    ("routes: [{to: ['${env:SECRET}']}]", "a channel that is not configured"),
    ("channels: [{type: '${env:SECRET}'}]", "one of recorder"),
    ("budgets: [{name: '${env:SECRET}'}, {name: '${env:SECRET}'}]", "a name that is given already"),
    ("kafka: {bootstrap_servers: '${env:SECRET}'}", "HOST:PORT"),
    ("store: {url: 'postgresql://u:kanarienvogel@h/d'}", "password written out"),
    ("store: {url: 'kanarienvogel'}", "an address of another kind"),
    ("store: {url: 'postgresql://u@h/d?password=kanarienvogel'}", "password written out"),
    ("scale_down: {target: {type: webhook, url: 'ftp://kanarienvogel', secret: '${env:SECRET}'}}", "https://"),
    ("scale_down: {target: {type: webhook, url: 'http://kanarienvogel', secret: '${env:SECRET}'}}", "https://"),
    ("console: {token: 'kanarienvogel", "YAML that can't be read"),
    ("prices: {gpu: [{model: x, usd_per_hour: '${env:SECRET}', from: '${env:SECRET}'}]}", "a number"),
]


@pytest.mark.parametrize(("text", "told"), FAULTY)
def test_a_report_shows_no_secret(text: str, told: str):
    with pytest.raises(SettingsError, match=told) as caught:
        parse_settings(text, "c.yaml", Sources(Path("nowhere"), {"SECRET": CANARY}))

    everything = f"{caught.value} {caught.value!r} {caught.value.problems}"
    assert everything.replace("./kanarienvogel-is-a-name", "").count(CANARY) == 0
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_both_ways_at_once_are_a_fault(config: Path):
    config.write_text("console: {token: '${env:T}', token_file: slack.txt}")

    with pytest.raises(SettingsError, match="got: both token_file and token\n    meant: one of them"):
        load_settings(config, {"T": "t"})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe", "not text in UTF-8"),
        (b"x" * (MAX_SECRET_BYTES + 1), "more than 65536 bytes"),
    ],
)
def test_a_file_that_holds_no_secret_is_told(tmp_path: Path, content: bytes, told: str):
    (tmp_path / "s").write_bytes(content)

    with pytest.raises(
        SettingsError, match=rf"console\.token_file\n    got: './s', a file that .*{told}|got: './s', a file of {told}"
    ):
        parse_settings("console: {token_file: ./s}", "c.yaml", Sources(tmp_path, {}))


def test_a_path_that_is_none_is_told():
    with pytest.raises(SettingsError, match=r"console\.token_file"):
        parse_settings('console: {token_file: "./a\\0b"}', "c.yaml", Sources(environ={}))
