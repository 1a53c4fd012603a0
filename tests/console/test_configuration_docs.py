"""The page on configuration says every option as it is, and each of its samples loads."""

import re
from collections.abc import Iterator
from datetime import time, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.testing import CliRunner

from console.cli import app
from console.settings import Settings, parse_settings
from console.settings_errors import SettingsError
from console.settings_sources import Sources
from console.settings_types import duration_text

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
SAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
ENVIRONMENT = {"SLACK_TOKEN": "xoxb-canary", "KAFKA_PASSWORD": "canary-kafka", "SMTP_PASSWORD": "canary-smtp"}


@pytest.mark.parametrize("sample", SAMPLES)
def test_each_sample_loads(sample: str, tmp_path: Path):
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in re.findall(r"/run/secrets/([\w.-]+)", sample):
        (secrets / name).write_text(f"canary-{name}\n")

    settings = parse_settings(
        sample.replace("/run/secrets", str(secrets)), "sample.yaml", Sources(tmp_path, ENVIRONMENT)
    )

    assert settings != Settings()


def test_every_option_is_described_as_it_is():
    page = PAGE.read_text()
    rows = [row(name, info) for model in models(Settings) for name, info in model.model_fields.items()]

    assert [line for line in rows if line not in page] == []


def test_the_page_describes_nothing_else():
    rows = {row(name, info) for model in models(Settings) for name, info in model.model_fields.items()}

    assert [line for line in PAGE.read_text().splitlines() if line.startswith("| `") and line not in rows] == []


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for info in model.model_fields.values():
        for inner in inner_models(info.annotation):
            yield from models(inner)


def inner_models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from inner_models(argument)


def row(name: str, info: FieldInfo) -> str:
    return f"| `{info.alias or name}` | {kind(name, info)} | {default(info)} | {info.description} |"


def kind(name: str, info: FieldInfo) -> str:
    text = repr(info.annotation)
    if "typing.Literal" in text and "tuple" not in text:
        return ", ".join(f"`{word}`" for word in get_args(info.annotation))
    names = {
        "Decimal": "USD",
        "timedelta": "duration",
        "SecretStr": "address" if name == "url" else "reference",
        "datetime.datetime": "date",
        "datetime.time": "time",
        "Path": "path",
    }
    for part, word in names.items():
        if part in text:
            return word + limits(info)
    if next(inner_models(info.annotation), None) is not None:
        return "list" if "tuple" in text else "section"
    if "tuple" in text:
        return "list"
    if "dict" in text:
        return "mapping"
    plain = {"bool": "true or false", "int": "whole number", "float": "ratio" if name.endswith("_ratio") else "number"}
    for part, word in plain.items():
        if re.search(rf"\b{part}\b", text):
            return word + limits(info)
    return "text"


def limits(info: FieldInfo) -> str:
    bounds = {name: getattr(meta, name) for meta in info.metadata for name in ("ge", "gt", "le") if hasattr(meta, name)}
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le")
    if low is None or high is None:
        return ""
    return f", {'above ' if 'gt' in bounds else ''}{bound(low)} to {bound(high)}"


def bound(value: Any) -> str:
    return duration_text(value) if isinstance(value, timedelta) else f"{value:,.15g}"


def default(info: FieldInfo) -> str:
    value = info.default
    if value is PydanticUndefined:
        return "needed"
    if value is None or value == ():
        return "none"
    if isinstance(value, BaseModel):
        return "below"
    if isinstance(value, tuple) and isinstance(value[0], BaseModel):
        return "one recorder, named `recorder`"
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value)
    if isinstance(value, timedelta):
        return f"`{duration_text(value)}`"
    if isinstance(value, time):
        return f'`"{value:%H:%M}"`'
    assert not isinstance(value, SecretStr)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def test_the_report_on_the_page_is_what_is_said():
    text = "detection:\n  idle: {aftr: 1h}\nroutes:\n  - {match: [severity=pge], to: [recorder]}\n"

    with pytest.raises(SettingsError) as caught:
        parse_settings(text, "emberwatch.yaml", Sources())

    assert f"```\n{caught.value}\n```" in PAGE.read_text()


def test_each_command_on_the_page_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("emberwatch.yaml").write_text("log: {level: debug}\n")
    commands = re.findall(r"^emberwatch ([a-z. -]+[a-z])", PAGE.read_text(), flags=re.MULTILINE)

    results = [CliRunner().invoke(app, command.split()).exit_code for command in commands if "yaml:" not in command]

    assert results == [0, 0]
