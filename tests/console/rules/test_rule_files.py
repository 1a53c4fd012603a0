"""`emberwatch rules test`: real tests of real policies, through the whole service."""

import json
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from typer.testing import CliRunner, Result

from console.cli import app

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "docs" / "examples" / "policy-tests.yaml"
RUN = CliRunner()
HEAD = """\
policy: |
  prices: {gpu: [{model: "*H100*", usd_per_hour: 4.00, from: 2026-01-01}]}
  channels: [{type: recorder, name: costs}]
%s
tests:
"""
NOTEBOOK = """\
  - name: %s
    input:
      - gpu: research/vision/notebook
        gpu_model: NVIDIA H100 80GB HBM3
        values: {util_ratio: 0x%d, power_w: 71x%d}
    expect:
"""


def told_of(*arguments: object) -> Result:
    return RUN.invoke(app, ["rules", "test", *map(str, arguments)], env={"COLUMNS": "200"})


def written(path: Path, *tests: str, policy: str = "") -> Path:
    path.write_text(HEAD % policy + "".join(tests))
    return path


def notebook(name: str, minutes: int, *expect: str) -> str:
    return NOTEBOOK % (name, minutes, minutes) + "".join(f"      - {line}\n" for line in expect)


def test_the_example_of_the_documentation_holds():
    result = told_of(EXAMPLE)

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == "3 tests, all as expected"


def test_what_differs_is_said_and_ends_with_1(tmp_path):
    wrong = notebook("wrong", 40, "{at: 40m, alerts: [{kind: idle, severity: page}]}", "{at: 20m, none: true}")
    file = written(tmp_path / "t.yaml", wrong, notebook("right", 40, "{at: 40m, alerts: [{usd_per_hour: 4}]}"))

    result = told_of(file, "--junit", tmp_path / "report.xml")
    answer = told_of(file, "--json")

    assert (result.exit_code, result.stderr) == (1, "")
    assert result.stdout.splitlines() == [
        str(file),
        "  FAILED wrong",
        "    at 40m:",
        "      alerts:",
        "        - kind: idle, severity: page",
        "        + kind: idle, workload: research/vision/notebook, severity: warn",
        "  ok     right",
        "2 tests, 1 failed",
    ]
    suite = fromstring((tmp_path / "report.xml").read_text())[0]
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("2", "1")
    assert [case.attrib["name"] for case in suite if case.find("failure") is not None] == ["wrong"]
    assert answer.exit_code == 1
    told = json.loads(answer.stdout)
    assert (told["tests"], told["failed"], [one["name"] for one in told["files"][0]["tests"]]) == (
        *(2, 1),
        ["wrong", "right"],
    )


def test_a_policy_in_mode_auto_stops_what_is_idle_and_needs_no_secret(tmp_path):
    auto = """\
  scale_down:
    mode: auto
    selector: ["namespace=vision"]
    target: {type: webhook, url: "https://scaler.example.com/hook", secret: "${env:NO_SUCH_SECRET}"}
    max_gpu_ratio_per_hour: 1
    max_gpu_ratio_per_day: 1
"""
    stopped = """\
  - name: stopped and proven
    input:
      - gpu: research/vision/notebook
        gpu_model: NVIDIA H100 80GB HBM3
        values: {util_ratio: 0x130, power_w: 71x130}
      - gpu: research/chat/server
        gpu_model: NVIDIA H100 80GB HBM3
        values: {util_ratio: 0.9x180, power_w: 500}
    expect:
      - {at: 40m, actions: [{step: warned, mode: auto}], messages: [{reason: first_time}, {reason: action_warned}]}
      - {at: 131m, actions: [{workload: research/vision/notebook, step: executed}], would_stop: []}
      - {at: 170m, actions: [{workload: research/vision/notebook, step: verified, reason: gpus_vanished}]}
"""
    result = told_of(written(tmp_path / "t.yaml", stopped, policy=auto))

    assert result.stdout.splitlines()[1:] == ["  ok     stopped and proven", "1 test, all as expected"]


def test_telemetry_that_ends_is_lost_and_a_deploy_is_known(tmp_path):
    lost = """\
  - name: lost
    start: 2026-03-02T12:00:00+01:00
    evaluation: 5m
    input:
      - gpu: prod/llm/chat
        gpu_model: NVIDIA H100 80GB HBM3
        values: {util_ratio: 0.9x24, power_w: 500}
      - tokens: prod/llm/chat
        provider: openai
        model: gpt-5-mini
        values: {requests: 10x24, input_tokens: 1000, output_tokens: 100}
      - {change: prod/llm/chat, at: 30m, summary: v2}
    expect:
      - {at: 2h, none: true}
      - {at: 3h, incidents: [{kind: data_gap, cause: telemetry_lost, channels: [costs], severity: warn}]}
"""
    result = told_of(written(tmp_path / "t.yaml", lost))

    assert result.stdout.splitlines()[1:] == ["  ok     lost", "1 test, all as expected"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tests: [", "line 1: YAML that can't be read"),
        ("tests: []\nconfig: c.yaml", "no tests"),
        (HEAD % "" + notebook("x", 3, "{at: soon}"), "'soon' is no duration such as 90s, 30m or 2h30m"),
        (HEAD % "" + notebook("x", 3, "{at: 1m, alert: []}"), "unknown field `alert`"),
        (HEAD % "" + notebook("x", 40, "{at: 40m, alerts: [{sevrity: warn}]}"), "no such field: sevrity"),
        ((HEAD % "" + notebook("x", 3, "{at: 1m}")).replace("util_ratio: 0x3", "util_ratio: 9x3"), "Expected `float`"),
        (
            (HEAD % "" + notebook("x", 3, "{at: 1m}")).replace("71x3", "71x2"),
            "power_w has 2 values where others have 3",
        ),
        ((HEAD % "" + notebook("x", 3, "{at: 1m}")).replace("power_w", "power"), "no such field: power; known are"),
        ((HEAD % "" + notebook("x", 3, "{at: 1m}")).replace("gpu:", "pod:", 2), "unknown field `pod`"),
    ],
)
def test_a_file_that_can_not_be_used_is_told_and_ends_with_3(tmp_path, text, said):
    file = tmp_path / "t.yaml"
    file.write_text(text)

    result = told_of(file)

    assert result.exit_code == 3
    assert said in result.stderr


def test_a_policy_with_a_fault_is_told_with_its_place(tmp_path):
    file = written(tmp_path / "t.yaml", notebook("x", 3, "{at: 1m}"), policy="  severty: {}\n")

    result = told_of(file, tmp_path / "none.yaml")

    assert result.exit_code == 3
    assert "severty" in result.stderr
    assert told_of(tmp_path / "none.yaml").exit_code == 3
