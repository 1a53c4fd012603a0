"""Broken configs, written out, and the whole report that each gives."""

from pathlib import Path

import pytest

from console.settings import load_settings, parse_settings
from console.settings_errors import Problem, SettingsError
from console.settings_sources import Sources

SECTIONS = (
    "prices, budgets, attribution, stream, detection, severity, channels, routes, default_route, "
    "speaking, heartbeat, digest, scale_down, store, kafka, console, metrics, log"
)
CASES = {
    "unknown options": (
        "detection:\n  idle: {aftr: 30m}\nsevrity: {}\n",
        f"""the config can't be used: 2 problems
c.yaml:2:10: detection.idle.aftr
    got: an unknown option
    meant: one of after, util_below_ratio, sm_below_ratio, min_families
    nearest: after
c.yaml:3:1: sevrity
    got: an unknown option
    meant: one of {SECTIONS}
    nearest: severity""",
    ),
    "money": (
        """\
prices:
  gpu:
    - {model: 5, usd_per_hour: "4", from: 2026-13-01}
    - {usd_per_hour: -1, from: 2026-01-01T00:00:00}
budgets:
  - {name: a, match: {tem: search}, usd_per_month: 0, timezone: Europe/Berln}
  - {name: a, match: {}, usd_per_month: .nan}
attribution:
  - {match: {names: x}, team: ''}
""",
        """the config can't be used: 13 problems
c.yaml:3:15: prices.gpu[0].model
    got: 5
    meant: text
c.yaml:3:32: prices.gpu[0].usd_per_hour
    got: '4'
    meant: a number
c.yaml:3:43: prices.gpu[0].from
    got: '2026-13-01'
    meant: a date such as 2026-01-31 (from midnight UTC), or a moment with an offset
c.yaml:4:7: prices.gpu[1].model
    got: nothing: it is missing
    meant: Glob on the name that the driver gives the accelerator, such as "*H100*".
c.yaml:4:22: prices.gpu[1].usd_per_hour
    got: -1
    meant: at least 0
c.yaml:4:32: prices.gpu[1].from
    got: '2026-01-01T00:00:00'
    meant: a date such as 2026-01-31 (from midnight UTC), or a moment with an offset
c.yaml:6:23: budgets[0].match.tem
    got: the label 'tem'
    meant: one of team, workload, cluster, namespace
    nearest: team
c.yaml:6:52: budgets[0].usd_per_month
    got: 0
    meant: more than 0
c.yaml:6:65: budgets[0].timezone
    got: 'Europe/Berln'
    meant: the name of a time zone, such as UTC or Europe/Berlin
    nearest: Europe/Berlin
c.yaml:7:12: budgets[1].name
    got: 'a', a name that is given already
    meant: a name of its own
c.yaml:7:41: budgets[1].usd_per_month
    got: nan
    meant: a finite amount of USD
c.yaml:9:14: attribution[0].match.names
    got: the label 'names'
    meant: one of cluster, namespace, name, workload, or label.KEY for a label of the event
    nearest: name
c.yaml:9:25: attribution[0].team
    got: ''
    meant: text that is not empty""",
    ),
    "durations and numbers": (
        """\
stream: {allowed_lateness: 2 minutes, silence_after: 0, horizon_hours: 1.5, max_devices: true}
detection: {idle: {after: 30, util_below_ratio: 5}, anomaly: {record_margin: .inf}}
severity: {warn_usd: 5000}
""",
        """the config can't be used: 8 problems
c.yaml:1:28: stream.allowed_lateness
    got: '2 minutes'
    meant: a duration such as 90s, 30m, 2h or 7d, or a whole number of seconds
c.yaml:1:54: stream.silence_after
    got: 0s
    meant: at least 1 second
c.yaml:1:72: stream.horizon_hours
    got: 1.5
    meant: a whole number
c.yaml:1:90: stream.max_devices
    got: true
    meant: a number
c.yaml:2:27: detection.idle.after
    got: 30s
    meant: at least 1 minute
c.yaml:2:49: detection.idle.util_below_ratio
    got: 5
    meant: at most 1
c.yaml:2:78: detection.anomaly.record_margin
    got: inf
    meant: at most 100
c.yaml:3:22: severity.warn_usd
    got: 5000
    meant: at most page_usd, 1000""",
    ),
    "people": (
        """\
channels:
  - {type: slak, name: x}
  - {type: slack, name: ops, channel: C1, token: xoxb-1-canary}
  - {type: slack, name: ops, channel: C1, token_file: ./nowhere}
  - {type: pagerduty, name: oncall}
  - {name: y}
  - {type: email, name: mail, host: h, from: me, to: [], username: u, password: "${env:NOPE}"}
routes:
  - {match: ["severity=pge", "tem=x", "team=~(", whatever], to: [onkall]}
digest: {at: 9, to: [recorder], day: mon}
""",
        """the config can't be used: 18 problems
c.yaml:1:1: default_route
    got: several channels, and none named for incidents that no route matches
    meant: default_route, a list of channel names
c.yaml:2:12: channels[0].type
    got: 'slak'
    meant: one of recorder, terminal, slack, slack_webhook, pagerduty, alertmanager, email, teams, webhook
    nearest: slack
c.yaml:3:50: channels[1].token
    got: a value that is not a reference (not shown)
    meant: a reference, ${env:NAME} or ${file:PATH}: secrets do not stand in the config
c.yaml:4:25: channels[2].name
    got: 'ops', a name that is given already
    meant: a name of its own
c.yaml:4:55: channels[2].token_file
    got: './nowhere', a file that does not exist
    meant: a file that holds the secret and nothing else
c.yaml:5:5: channels[3].routing_key_file
    got: no secret
    meant: routing_key_file, the path of the file that holds it, or routing_key, a reference
c.yaml:6:5: channels[4].type
    got: nothing: it is missing
    meant: the kind of channel: recorder, terminal, slack, pagerduty or email
c.yaml:7:46: channels[5].from
    got: 'me'
    meant: an e-mail address such as costs@example.com
c.yaml:7:54: channels[5].to
    got: an empty list
    meant: at least 1 of them
c.yaml:7:81: channels[5].password
    got: ${env:NOPE}, an environment variable that is not set or empty
    meant: a reference that can be resolved
c.yaml:9:14: routes[0].match[0]
    got: the severity 'pge'
    meant: one of page, warn, info
    nearest: page
c.yaml:9:30: routes[0].match[1]
    got: the label 'tem'
    meant: one of severity, kind, cause, team, workload, cluster, namespace, name, model, budget
    nearest: team
c.yaml:9:39: routes[0].match[2]
    got: '(', which is no regular expression
    meant: a regular expression of Python
c.yaml:9:50: routes[0].match[3]
    got: 'whatever'
    meant: label=value, label!=value, label=~regex or label!~regex
c.yaml:9:66: routes[0].to[0]
    got: 'onkall', a channel that is not configured
    meant: one of x, ops, oncall, y, mail
    nearest: oncall
c.yaml:10:14: digest.at
    got: 9
    meant: a time of day in quotes, such as "09:00"
c.yaml:10:22: digest.to[0]
    got: 'recorder', a channel that is not configured
    meant: one of x, ops, oncall, y, mail
c.yaml:10:38: digest.day
    got: 'mon'
    meant: one of monday, tuesday, wednesday, thursday, friday, saturday, sunday
    nearest: monday""",
    ),
    "service": (
        """\
scale_down: {mode: auto}
console: {host: 0.0.0.0, port: 99999}
metrics: {host: "a b"}
store: {url: "postgresql://u:hunter2@h/db"}
kafka:
  bootstrap_servers: [a]
  security: {protocol: SASL_SSL}
  topics: {charges: ops.changes}
log: {level: inf}
log: {}
""",
        """the config can't be used: 9 problems
c.yaml:1:20: scale_down.mode
    got: auto without selector and target
    meant: three settings together: mode, selector (what may be stopped), target (who stops it); or observe
c.yaml:2:32: console.port
    got: 99999
    meant: at most 65,535
c.yaml:3:17: metrics.host
    got: 'a b'
    meant: a host name or an IP address
c.yaml:4:14: store.url
    got: an address with a password written out (not shown)
    meant: a reference for the password, as in postgresql://USER:${file:/run/secrets/db}@HOST/NAME
c.yaml:6:22: kafka.bootstrap_servers
    got: 'a'
    meant: HOST:PORT, such as kafka-1.internal:9092
c.yaml:7:24: kafka.security.protocol
    got: SASL_SSL without a login
    meant: username and password_file beside it
c.yaml:8:11: kafka.topics
    got: one topic for two kinds of event
    meant: a topic of its own for each kind
c.yaml:9:14: log.level
    got: 'inf'
    meant: one of debug, info, warning, error
    nearest: info
c.yaml:10:1: log
    got: the option a second time (first on line 9)
    meant: each option once""",
    ),
    "a section of the wrong shape": (
        "prices:\nstream: [1]\nbudgets: {name: x}\nchannels: []\n",
        """the config can't be used: 4 problems
c.yaml:1:1: prices
    got: nothing
    meant: a mapping of options
c.yaml:2:9: stream
    got: a list
    meant: a mapping of options
c.yaml:3:10: budgets
    got: a mapping
    meant: a list
c.yaml:4:11: channels
    got: an empty list
    meant: at least 1 of them""",
    ),
    "scale-down in a hurry": (
        "scale_down: {warn_after: 2h, propose_after: 1h}\n",
        """the config can't be used: 1 problem
c.yaml:1:26: scale_down.warn_after
    got: 2h, 1h, 2h
    meant: warn_after, propose_after and act_after in rising order, with time to object""",
    ),
    "an open console": (
        "console: {host: 0.0.0.0}\n",
        """the config can't be used: 1 problem
c.yaml:1:17: console.host
    got: '0.0.0.0', which other machines can reach, without a token
    meant: token_file beside it, or 127.0.0.1: an open console could stop accelerators""",
    ),
    "an unencrypted webhook": (
        """\
scale_down:
  target: {type: webhook, url: "http://scaler.example.com/canary", secret: "${env:KEY}"}
""",
        """the config can't be used: 1 problem
c.yaml:2:32: scale_down.target.url
    got: an address without encryption (not shown)
    meant: https://; or http:// to this machine with allow_insecure_loopback: true""",
    ),
    "not YAML": (
        "prices: {gpu: [\nbudgets: ]\n",
        """the config can't be used: 1 problem
c.yaml:3:1
    got: YAML that can't be read: expected ',' or '}', but got '<stream end>', \
while parsing a flow mapping (begun on line 1)
    meant: valid YAML""",
    ),
    "a list": (
        "- prices\n",
        """the config can't be used: 1 problem
c.yaml:1:1
    got: a list
    meant: a mapping of sections such as prices, budgets, channels""",
    ),
    "empty": (
        "\n  \n",
        """the config can't be used: 1 problem
c.yaml
    got: an empty file
    meant: at least {}, an empty mapping, for all defaults""",
    ),
    "tags and aliases": (
        'prices: !!python/object/apply:os.system ["true"]\nbudgets: &a [*a]\nlog: {? [x] : y}\n',
        """the config can't be used: 3 problems
c.yaml:1:9: prices
    got: the tag tag:yaml.org,2002:python/object/apply:os.system
    meant: plain YAML, without tags
c.yaml:2:10: budgets[0]
    got: an alias that contains itself
    meant: a value
c.yaml:3:9: log
    got: a key that is not text
    meant: an option's name""",
    ),
}


def report_of(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        parse_settings(text, "c.yaml", Sources(Path("nowhere"), {"KEY": "whsec_canary"}))
    return str(caught.value)


@pytest.mark.parametrize("case", CASES)
def test_all_faults_are_told_at_once(case: str):
    text, report = CASES[case]

    assert report_of(text) == report


def test_a_report_can_be_had_as_values():
    with pytest.raises(SettingsError) as caught:
        parse_settings("log: {levl: info}\n", "c.yaml", Sources())

    assert caught.value.problems == [
        Problem(
            file="c.yaml",
            line=1,
            column=7,
            option="log.levl",
            got="an unknown option",
            meant="one of level, format",
            nearest="level",
        )
    ]


def test_a_missing_file_is_told(tmp_path: Path):
    path = tmp_path / "none.yaml"

    with pytest.raises(SettingsError) as caught:
        load_settings(path)

    assert str(caught.value) == (
        f"the config can't be used: 1 problem\n{path}\n    got: no such file\n    meant: the path of a config file"
    )


def test_a_folder_is_told(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"got: a file that can't be read \(Is a directory\)"):
        load_settings(tmp_path)


def test_bytes_that_are_not_text_are_told(tmp_path: Path):
    path = tmp_path / "c.yaml"
    path.write_bytes(b"log: \xff\n")

    with pytest.raises(SettingsError, match="got: a byte that is not UTF-8, at offset 5"):
        load_settings(path)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path):
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xef\xbb\xbflog: {level: debug}\n")

    assert load_settings(path).log.level == "debug"


def test_deep_nesting_is_told():
    assert "nested too deeply" in report_of("[" * 5000)


def test_many_aliases_cost_nothing():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]

    assert report_of("\n".join(lines)).startswith("the config can't be used: 30 problems\n")


def test_text_can_not_steer_the_terminal():
    assert "\x1b" not in report_of('log: {"\\e[31mlevel": 1, level: "\\e[2J"}\n')
