"""The one config file: read once, at start, with all its faults reported together.

Every option has a safe default; without a file the service observes, records and stops nothing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from console.settings_checks import DEFAULT_CHANNEL, check_names
from console.settings_detection import Detection, Stream
from console.settings_errors import Problem, SettingsError
from console.settings_kafka import Kafka
from console.settings_money import BudgetRow, OwnerRule, Prices
from console.settings_people import Channel, ChannelName, Digest, RecorderChannel, Route, Severity
from console.settings_reporter import Reporter
from console.settings_scale_down import ScaleDown
from console.settings_service import Console, Log, Metrics, Store
from console.settings_sources import Sources
from console.settings_speaking import Heartbeat, Speaking
from console.settings_types import Section, shown
from console.settings_yaml import Document

MAX_FILE_BYTES = 4 * 1024 * 1024


class Settings(Section):
    """All settings of the service."""

    prices: Prices = Field(default=Prices(), description="The price book.")
    budgets: tuple[BudgetRow, ...] = Field(default=(), description="Sums for each calendar month.")
    attribution: tuple[OwnerRule, ...] = Field(
        default=(), description="Which team owns which workload; the first match wins."
    )
    stream: Stream = Field(default=Stream(), description="How event time advances, and how much is kept in mind.")
    detection: Detection = Field(default=Detection(), description="What is worth saying.")
    severity: Severity = Field(default=Severity(), description="From how many dollars on someone is told, or woken.")
    channels: tuple[Channel, ...] = Field(
        default=(RecorderChannel(type="recorder", name=DEFAULT_CHANNEL),),
        min_length=1,
        description="Ways to reach people.",
    )
    routes: tuple[Route, ...] = Field(default=(), description="Who hears of which incidents, in order.")
    default_route: tuple[ChannelName, ...] = Field(
        default=(DEFAULT_CHANNEL,),
        min_length=1,
        description="Channels for what no route matches. Absent: the only channel there is.",
    )
    speaking: Speaking = Field(
        default=Speaking(), description="When the service keeps quiet, and when it speaks again."
    )
    heartbeat: Heartbeat = Field(default=Heartbeat(), description="A dead man's switch outside.")
    digest: Digest = Field(default=Digest(), description="The weekly report.")
    scale_down: ScaleDown = Field(
        default=ScaleDown(), description="How far the service may go in stopping what is idle."
    )
    store: Store = Field(default=Store(), description="Where everything is kept that must not be lost.")
    kafka: Kafka = Field(default=Kafka(), description="The event log; a single process needs none.")
    console: Console = Field(default=Console(), description="The web page and the HTTP door for events.")
    metrics: Metrics = Field(default=Metrics(), description="Where a worker shows its metrics and its health.")
    log: Log = Field(default=Log(), description="What the service says of itself.")

    @model_validator(mode="before")
    @classmethod
    def _only_channel(cls, data: Any) -> Any:
        """Where there is one channel and no default route, it is the default route."""
        if not isinstance(data, dict) or "default_route" in data:
            return data
        rows = data.get("channels")
        if not isinstance(rows, list | tuple) or len(rows) != 1:
            return data
        row = rows[0]
        name = row.get("name", "terminal") if isinstance(row, dict) else getattr(row, "name", None)
        return {**data, "default_route": [name]} if isinstance(name, str) and name else data


def load_settings(path: Path | None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of a file, or the defaults without one. Raises SettingsError with every fault of the file."""
    if path is None:
        return Settings()
    return parse_settings(_text_of(path), str(path), Sources(path.parent, environ))


def parse_settings(text: str, file: str, sources: Sources) -> Settings:
    """The settings of a text; `file` is what messages call it. Raises SettingsError with every fault of the text."""
    if not text.strip():
        raise _file_problem(file, "an empty file", "at least {}, an empty mapping, for all defaults")
    document = Document(text, sources.resolve)
    reporter = Reporter(file, document, sources)
    for fault in document.faults:
        reporter.add_yaml(fault)
    root = document.root if document.root is not None else {}
    if not isinstance(root, dict):
        reporter.add_at((), shown(root), "a mapping of sections such as prices, budgets, channels")
        root = {}
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(root, context=sources)
    except ValidationError as error:
        reporter.add_invalid(error)
    for note in sources.notes:
        reporter.add_note(note)
    check_names(root, reporter)
    if reporter.problems or settings is None:
        raise SettingsError(reporter.problems) from None
    return settings


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise _file_problem(str(path), "no such file", "the path of a config file") from None
    except (OSError, ValueError) as error:
        got = f"a file that can't be read ({getattr(error, 'strerror', None) or 'not a path'})"
        raise _file_problem(str(path), got, "a file that this user may read") from None
    if len(raw) > MAX_FILE_BYTES:
        raise _file_problem(str(path), f"more than {MAX_FILE_BYTES:,} bytes", "a smaller file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _file_problem(str(path), f"a byte that is not UTF-8, at offset {error.start}", "text in UTF-8") from None


def _file_problem(file: str, got: str, meant: str) -> SettingsError:
    return SettingsError([Problem(file=file, line=None, column=None, option="", got=got, meant=meant)])
