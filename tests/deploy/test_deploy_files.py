"""What stands in `deploy/` hangs together: files that exist, secrets that are made, metrics that are there."""

import json
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.kafka_jars import kafka_version

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules" / "emberwatch.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "emberwatch.json"
YAML_FILES = [ROOT / "docker-compose.yml", *sorted((ROOT / "deploy").rglob("*.y*ml"))]

# the metrics that the service shows, with their labels
METRICS = {
    "emberwatch_actions_paused": {"by"},
    "emberwatch_build_info": {"version"},
    "emberwatch_commit_seconds_bucket": {"le"},
    "emberwatch_gpu_idle_usd_per_hour": {"team"},
    "emberwatch_incidents_open": {"kind", "severity"},
    "emberwatch_notifications_total": {"channel", "outcome"},
    "emberwatch_outbox_pending": {"channel"},
    "emberwatch_partition_stopped": {"partition"},
    "emberwatch_records_consumed_total": {"topic"},
    "emberwatch_records_rejected_total": {"reason"},
    "emberwatch_spend_usd_per_hour": {"team"},
    "emberwatch_watermark_timestamp_seconds": {"partition"},
}


def read_yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def compose() -> dict[str, Any]:
    return read_yaml(ROOT / "docker-compose.yml")


def rules() -> list[dict[str, Any]]:
    return [rule for group in read_yaml(RULES)["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def expressions() -> dict[str, str]:
    """Every expression of the rules and the dashboard, by where it stands."""
    of_rules = {rule.get("alert") or rule["record"]: rule["expr"] for rule in rules()}
    of_panels = {f"{panel['title']} {one['refId']}": one["expr"] for panel in panels() for one in panel["targets"]}
    return of_rules | of_panels


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_yaml_file_holds_mappings(path: Path):
    documents = list(YAML(typ="safe").load_all(path.read_text(encoding="utf-8")))

    assert documents
    assert all(isinstance(one, dict) for one in documents)


@pytest.mark.parametrize(("where", "expression"), expressions().items(), ids=expressions().keys())
def test_an_expression_uses_metrics_and_labels_that_exist(where: str, expression: str):
    used = set(re.findall(r"\bemberwatch_[a-z_]+", expression))
    labels = {"job"}.union(*(METRICS.get(name, set()) for name in used))
    grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
    matched = set(re.findall(r"[{,]\s*([a-z_]+)\s*(?:=~|!~|!=|=)", expression))

    assert used <= METRICS.keys()
    assert used or "up{" in expression
    assert grouped | matched <= labels


def test_the_dashboard_and_the_rules_show_every_metric():
    shown = set(re.findall(r"\bemberwatch_[a-z_]+", " ".join(expressions().values())))

    assert shown == METRICS.keys()


def test_panels_have_names_and_places_of_their_own():
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels()]

    assert len({panel["id"] for panel in panels()}) == len(panels())
    assert len(set(places)) == len(places)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels())


def test_each_alert_says_what_it_means_and_what_to_do():
    for rule in rules():
        if "alert" in rule:
            assert rule["annotations"].keys() == {"summary", "description"}
            assert rule["labels"]["severity"] in {"page", "warn"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_itself_accepts_the_rules():
    checked = subprocess.run(["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, timeout=30.0)

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_compose_mounts_only_files_that_exist():
    mounts = [mount for service in compose()["services"].values() for mount in service.get("volumes", ())]
    sources = {mount.split(":")[0] for mount in mounts}
    here = {source for source in sources if source.startswith(".")}

    assert sources - here == compose()["volumes"].keys()
    assert [source for source in sorted(here) if not (ROOT / source).exists()] == []


def test_compose_publishes_on_the_loopback_address_only():
    ports = [port for service in compose()["services"].values() for port in service.get("ports", ())]

    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_compose_pins_every_image_and_kafka_as_the_tests_do():
    images = {name: service["image"] for name, service in compose()["services"].items()}

    assert [image for image in images.values() if ":" not in image or image.endswith(":latest")] == []
    assert images["kafka"] == f"apache/kafka:{kafka_version()}"


def test_compose_waits_for_what_exists():
    services = compose()["services"]
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in services, name
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[other], f"{name} waits for the health of {other}, which tells none"


def test_no_secret_stands_in_compose():
    for service in compose()["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|TOKEN|SECRET|KEY", name):
                assert name.endswith("_FILE")
                assert value.startswith("/run/secrets/")
        assert set(service.get("secrets", ())) <= compose()["secrets"].keys()


def test_the_script_makes_each_secret_once_and_closes_their_folder(tmp_path: Path):
    script = shutil.copy(ROOT / "deploy" / "make-secrets.sh", tmp_path)
    subprocess.run([script], check=True, capture_output=True, timeout=30.0)
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}

    subprocess.run([script], check=True, capture_output=True, timeout=30.0)

    assert made.keys() == compose()["secrets"].keys()
    assert len(set(made.values())) == len(made)
    assert all(re.fullmatch("[0-9a-f]{48}", value) for value in made.values())
    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == made
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700


def test_the_secrets_are_kept_out_of_git():
    asked = subprocess.run(
        ["git", "check-ignore", "deploy/secrets/console_token"], cwd=ROOT, capture_output=True, timeout=30.0
    )

    assert asked.returncode == 0


def test_the_image_is_made_of_files_that_exist_and_are_sent():
    sent = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [
        name
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for name in line.split()[1:-1]
    ]

    assert {"detectors", "alerts", "store", "streams", "console", "requirements.lock"} <= set(copied)
    assert [name for name in copied if not (ROOT / name).exists() or f"!{name}" not in sent] == []
