"""The documentation is true: samples load, commands exist, links lead somewhere, rules and defaults are as they are."""

import re
import shlex
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from msgspec.structs import replace
from ruamel.yaml import YAML

from alerts.scale_down import ActionStep, ScaleDownPolicy, Why
from alerts.scale_down_proof import SIGHTED_EVERY_S, proof_of
from alerts.scale_down_rules import BEFORE_ACTING, BEFORE_ANY_STEP, Case
from alerts.secrets import Secret
from alerts.severity import SeverityPolicy
from alerts.targets.signature import sign
from alerts.targets.webhook import Request
from console.cli import app
from console.settings import Settings, parse_settings
from console.settings_sources import Sources
from detectors.events import Change, Charge, GpuSample, TokenUsage
from streams.metrics import Metrics
from tests.alerts.test_scale_down import INCIDENT, at_step
from tests.alerts.test_scale_down_proof import SILENT, VANISHED

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
COMMAND_LINE = typer.main.get_command(app)

# all documented commands, each with the options that the pages use
DOCUMENTED = {
    "actions list": {"--config"},
    "actions pause": {"--config"},
    "actions regret": {"--config", "--days"},
    "actions resume": {"--config"},
    "backtest": {"--against", "--config", "--events", "--from-store"},
    "actions approve": {"--by", "--config"},
    "actions keep": {"--by", "--config"},
    "actions undo": {"--by", "--config"},
    "webhook vectors": set(),
    "webhook verify": {"--at", "--secret-file"},
    "config check": set(),
    "config schema": set(),
    "digest": {"--config"},
    "dlq list": {"--config", "--reason"},
    "dlq replay": {"--config", "--reason", "--yes"},
    "dlq resume": {"--config", "--partition", "--skip-limit"},
    "dlq show": {"--config"},
    "explain": {"--config"},
    "forecast": {"--at", "--horizon", "--out"},
    "incidents ack": {"--config"},
    "incidents expected": {"--config"},
    "incidents snooze": {"--config", "--for"},
    "incidents list": {"--config", "--state"},
    "incidents show": {"--config"},
    "notify test": {"--config", "--to"},
    "produce": {"--config"},
    "replay": {"--config", "--out"},
    "rules test": set(),
    "run": {"--config"},
    "score": {"--out"},
    "serve": {"--config"},
    "silences add": {"--comment", "--config", "--every", "--for", "--from", "--until"},
    "silences expire": {"--config"},
    "silences list": {"--config"},
    "topics ensure": {"--config"},
    "worker": {"--config", "--instance"},
}


def blocks(language: str) -> Iterator[tuple[str, str]]:
    for name, text in TEXTS.items():
        for block in re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
            yield name, block


def rows_of(page: str) -> list[list[str]]:
    """The rows of a page's tables, by cells."""
    lines = [line for line in TEXTS[page].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def emberwatch_lines() -> list[tuple[str, str]]:
    lines = [(name, line.strip()) for name, block in blocks("sh") for line in block.splitlines()]
    shown = [(name, line) for name, block in blocks("console") for line in block.splitlines()]
    lines += [(name, line.removeprefix("$ ")) for name, line in shown if line.startswith("$ ")]
    return [(name, line.split("  #")[0]) for name, line in lines if line.startswith("emberwatch ")]


def command_of(words: list[str]) -> tuple[str, Any]:
    """The command that the words name, None where there is none, and its name."""
    name = words[0] if words[0] not in {one.split()[0] for one in DOCUMENTED if " " in one} else " ".join(words[:2])
    found: Any = COMMAND_LINE
    for word in name.split():
        found = getattr(found, "commands", {}).get(word)
    return name, found


def options_of(command: Any) -> set[str]:
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


@pytest.mark.parametrize(("page", "sample"), list(blocks("yaml")))
def test_each_config_sample_loads(page: str, sample: str, tmp_path: Path):
    for name in re.findall(r"/run/secrets/([\w.-]+)", sample):
        (tmp_path / name).write_text("a-canary-that-is-long-enough\n")
    environ = dict.fromkeys(re.findall(r"\$\{env:(\w+)\}", sample), "a-canary-that-is-long-enough")

    settings = parse_settings(sample.replace("/run/secrets", str(tmp_path)), page, Sources(tmp_path, environ))

    assert settings != Settings()


@pytest.mark.parametrize(("page", "line"), emberwatch_lines())
def test_each_command_exists_with_its_options(page: str, line: str):
    words = shlex.split(re.sub(r"\s[>|].*", "", line))[1:]

    name, command = command_of(words)

    used = {word for word in words if word.startswith("--")}
    assert name in DOCUMENTED, f"{page}: {line}"
    assert used <= DOCUMENTED[name], f"{page}: {line}"
    assert command is not None, f"{page}: {line}"
    assert used <= options_of(command), f"{page}: {line}"


def test_every_command_that_is_documented_stands_on_a_page():
    named = {command_of(shlex.split(line)[1:])[0] for _, line in emberwatch_lines()}

    assert named | {"config schema"} == DOCUMENTED.keys()


@pytest.mark.parametrize("page", TEXTS)
def test_relative_links_lead_somewhere(page: str):
    folder = (ROOT / page).parent
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", TEXTS[page]) if not re.match(r"https?:|mailto:|#", link)]

    assert [link for link in links if not (folder / link.partition("#")[0]).exists()] == []


@pytest.mark.parametrize("page", TEXTS)
def test_links_to_headings_find_them(page: str):
    for target, heading in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", TEXTS[page]):
        text = ((ROOT / page).parent / target).read_text() if target else TEXTS[page]
        headings = {
            re.sub(r"[^\w -]", "", line.lower()).strip().replace(" ", "-")
            for line in re.findall(r"^#+ (.*)$", text, re.M)
        }
        assert heading in headings, f"{page}: {target}#{heading}"


@pytest.mark.parametrize("page", TEXTS)
def test_a_page_names_no_place_of_one_machine(page: str):
    assert re.findall(r"(?<![\w.])/(?:work|tmp|home|root)/\S*", TEXTS[page]) == []


def test_the_readme_names_the_fields_that_each_event_needs():
    needed = {
        struct.__struct_config__.tag: {
            field.encode_name for field in msgspec.structs.fields(struct) if field.required and field.name != "at"
        }
        for struct in (GpuSample, TokenUsage, Charge, Change)
    }
    rows = [row for row in rows_of("README.md") if row[0].strip("`") in needed]

    assert {kind.strip("`"): set(re.findall(r"`(\w+)`", fields)) for kind, _, fields in rows} == needed


def test_the_page_on_scale_down_lists_every_rule_in_its_order():
    rows = [row for row in rows_of("docs/scale-down.md") if len(row) == 4 and row[0].startswith("`")]

    assert [name.strip("`") for name, *_ in rows] == [rule.__name__ for rule in (*BEFORE_ANY_STEP, *BEFORE_ACTING)]
    reasons = {reason for _, _, cell, _ in rows for reason in re.findall(r"`(\w+)`", cell)}
    assert reasons <= set(Why)


def test_the_defaults_that_the_pages_name_are_the_defaults():
    policy, severity = ScaleDownPolicy(), SeverityPolicy()

    assert (policy.warn_after_s, policy.propose_after_s, policy.act_after_s) == (1800.0, 3600.0, 7200.0)
    assert (policy.warning_lead_s, policy.approval_valid_s, policy.recheck_valid_s) == (900.0, 3600.0, 600.0)
    assert (policy.verify_within_s, policy.keep_s) == (1800.0, 86400.0)
    assert (policy.min_evidence_families, policy.max_workloads_per_hour) == (2, 4)
    assert (policy.max_gpu_ratio_per_hour, policy.max_gpu_ratio_per_day) == (0.05, 0.10)
    assert (policy.correlated_ratio, policy.correlated_more_than_gpus) == (0.2, 3)
    assert (severity.page_usd_per_hour, severity.page_usd, severity.page_confidence) == (100.0, 1000.0, 0.9)
    assert (severity.warn_usd_per_hour, severity.warn_usd, severity.warn_breach_confidence) == (0.5, 2.0, 0.8)
    assert severity.say_again_from_usd == 10.0


def test_the_page_on_scale_down_lists_every_proof_with_its_figures():
    rows = [row for row in rows_of("docs/scale-down.md") if len(row) == 3 and row[0].startswith("`gpus_")]
    policy, executed = ScaleDownPolicy(), at_step(ActionStep.EXECUTED)
    traces = replace(VANISHED, last_seen_at=executed.at, heard_until=executed.at + timedelta(minutes=16))
    case = Case(
        policy=policy,
        mode=executed.mode,
        incident=INCIDENT,
        action=executed,
        look=replace(SILENT, traces=traces),
        recent=(),
        now=executed.at + timedelta(minutes=16),
        paused=False,
    )
    moved = replace(case, look=replace(SILENT, traces=replace(traces, moved_gpus=1, owned_gpus=0)))
    proofs = [proof for one in (moved, case) if (proof := proof_of(one, executed)) is not None]

    assert [name.strip("`") for name, *_ in rows] == [str(proof.reason) for proof in proofs]
    assert [set(re.findall(r"`(\w+)`", cell)) for *_, cell in rows] == [set(proof.evidence) for proof in proofs]
    assert (policy.vanished_after_s, SIGHTED_EVERY_S) == (900.0, 300.0)


def test_the_body_of_the_webhook_is_one():
    (body,) = [block for name, block in blocks("json") if name == "docs/scale-down.md"]

    request = msgspec.json.decode(body, type=Request)

    assert msgspec.json.decode(msgspec.json.encode(request)) == msgspec.json.decode(body)


def test_the_sample_receiver_believes_what_is_signed_and_nothing_else():
    (sample,) = [block for _, block in blocks("python")]
    there: dict[str, Any] = {}
    exec(sample, there)
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"type": "scale_down.execute"}'
    headers = sign((Secret(secret),), "act_1", int(time.time()), body)
    stale = sign((Secret(secret),), "act_1", int(time.time()) - 301, body)

    assert there["verified"](secret, headers, body) == "act_1"
    for forged, said in ((headers, body + b" "), (stale, body), (headers | {"webhook-id": "act_2"}, body)):
        with pytest.raises(ValueError, match=r"too old|not signed"):
            there["verified"](secret, forged, said)


def test_the_commands_of_the_compose_file_are_documented_ones():
    services = YAML(typ="safe").load(ROOT / "docker-compose.yml")["services"].values()
    own = [service["command"] for service in services if "build" in service]

    named = [(command_of(command)[0], {word for word in command if word.startswith("--")}) for command in own]

    assert [name for name, _ in named] == ["topics ensure", "serve", "worker"]
    assert all(options <= DOCUMENTED[name] for name, options in named)


def test_the_config_of_the_compose_file_loads_and_stops_nothing(tmp_path: Path):
    for name in ("console_token", "postgres_password"):
        (tmp_path / name).write_text("a-canary-that-is-long-enough\n")
    text = (ROOT / "deploy" / "config.yaml").read_text(encoding="utf-8").replace("/run/secrets", str(tmp_path))

    settings = parse_settings(text, "config.yaml", Sources(tmp_path, {}))

    assert (settings.scale_down.mode, [one.type for one in settings.channels]) == ("observe", ["recorder"])
    assert (settings.console.port, settings.metrics.port) == (8787, 9464)


def test_the_metrics_on_the_pages_exist():
    named = {name for text in TEXTS.values() for name in re.findall(r"`(emberwatch_[a-z_]+)`", text)}
    shown = {sample.name for family in Metrics().registry.collect() for sample in family.samples} | {
        family.name + ending for family in Metrics().registry.collect() for ending in ("", "_total")
    }

    assert named <= shown
