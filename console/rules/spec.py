"""A file of policy tests as plain structs, read with every fault named."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from console.sealed import Sealed, sealed_settings
from console.settings import Settings, parse_settings
from console.settings_types import parse_duration

START = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
MAX_FILE_BYTES = 4 * 1024 * 1024


class RulesError(ValueError):
    """A file of tests that can't be used."""


class Series(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one workload reports: its accelerators (`gpu`), its tokens (`tokens`), or a change that people made."""

    gpu: str | None = None  # workload
    tokens: str | None = None  # workload
    change: str | None = None  # workload
    values: dict[str, str] = {}  # by field of the event
    devices: int = 1
    gpu_model: str | None = None
    provider: str | None = None
    model: str | None = None
    team: str | None = None
    begins: str = "0m"  # after the start
    at: str | None = None  # of a change, after the start
    kind: str = "deploy"
    summary: str = ""


class Expectation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds at a time. A list that is given is complete: what else is found is a fault."""

    at: str
    alerts: list[dict[str, Any]] | None = None  # open pages and warnings
    incidents: list[dict[str, Any]] | None = None  # open, recorded ones included
    resolved: list[dict[str, Any]] | None = None  # incidents that are over
    actions: list[dict[str, Any]] | None = None  # as they stand
    would_stop: list[dict[str, Any]] | None = None  # what mode auto would have stopped while it is only observed
    messages: list[dict[str, Any]] | None = None  # told so far
    none: bool = False  # no incident was found so far, and no action thought of


class Test(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One test: input, and what is expected of it."""

    __test__ = False

    name: str
    input: list[Series]
    expect: list[Expectation]
    start: datetime = START
    evaluation: str | None = None


class File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of tests: the policy, or where it is; and the tests."""

    tests: list[Test]
    config: str | None = None  # path, from this file
    policy: str | None = None  # the config itself, as a block of text
    evaluation: str = "1m"  # what a value lasts


def read_file(path: Path) -> File:
    """Read a file of tests. Raises RulesError."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise RulesError(f"{path} can't be read: {error.strerror}") from None
    if len(raw) > MAX_FILE_BYTES:
        raise RulesError(f"{path} has more than {MAX_FILE_BYTES:,} bytes")
    try:
        data = YAML(typ="base", pure=True).load(raw.decode("utf-8-sig"))  # all text: 0x60 is no number in base 16
    except UnicodeDecodeError:
        raise RulesError(f"{path} is not text in UTF-8") from None
    except MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise RulesError(f"{path}{line}: YAML that can't be read: {error.problem}") from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise RulesError(f"{path}: YAML that can't be read ({type(error).__name__})") from None
    try:
        read = msgspec.convert(data, File, strict=False)
    except msgspec.ValidationError as error:
        raise RulesError(f"{path}: {error}") from None
    if (read.config is None) is (read.policy is None):
        raise RulesError(f"{path}: give either config (a path) or policy (the config as a block of text)")
    if not read.tests:
        raise RulesError(f"{path}: no tests")
    for one in read.tests:
        if one.start.tzinfo is None:
            raise RulesError(f"{path}: the start of {one.name!r} needs an offset, such as 2026-01-05T00:00:00Z")
    return read


def policy_of(file: File, path: Path) -> Settings:
    """The policy under test. Raises SettingsError."""
    if file.config is not None:
        return sealed_settings(path.parent / file.config)
    return parse_settings(file.policy or "", f"{path}, policy", Sealed(path.parent))


def duration(text: str, what: str) -> timedelta:
    """A duration such as 90s, 30m or 2h30m. Raises RulesError."""
    found = parse_duration(text)
    if found is None:
        raise RulesError(f"{what}: {text!r} is no duration such as 90s, 30m or 2h30m")
    return found
