"""The kinds of values that the config file knows, each with its limits and its way of saying what is meant."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, ClassVar
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from console.settings_sources import Sources
from console.settings_yaml import Resolved, WrittenFloat

_DURATION = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?", re.ASCII)
_DURATION_MEANT = "a duration such as 90s, 30m, 2h or 7d, or a whole number of seconds"


def fault(got: str, meant: str, *, option: str = "", known: tuple[str, ...] = ()) -> PydanticCustomError:
    """What a validator raises: what was got, what is meant, and (for a whole section) at which of its options."""
    return PydanticCustomError(
        "emberwatch",
        "got {got}; meant {meant}",
        {"got": got, "meant": meant, "option": option, "known": "\n".join(known)},
    )


def shown(value: object) -> str:
    """A value as a message may show it: scalars only, and nothing that came from a reference."""
    if isinstance(value, Resolved | SecretStr):
        return "the value of a reference (not shown)"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:57] + "...")
    if isinstance(value, WrittenFloat):
        return value.text
    if isinstance(value, int):
        return str(value) if value.bit_length() < 64 else "a number of many digits"
    if isinstance(value, float | Decimal):
        return str(value)
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, list | tuple) and not value:
        return "an empty list"
    return (
        "a mapping" if isinstance(value, Mapping) else "a list" if isinstance(value, list | tuple) else "something else"
    )


def _number_only(value: object) -> object:
    """A number as it is: no text, and no true or false, which Python takes for 1 and 0."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | Resolved):
        raise fault(shown(value), "a number")
    return value


def _exact(value: object) -> object:
    """Money from the literal text, never by way of a float."""
    value = _number_only(value)
    try:
        number = Decimal(value.text if isinstance(value, WrittenFloat) else str(value))
    except InvalidOperation:
        raise fault(shown(value), "a number") from None
    if not number.is_finite():
        raise fault(shown(value), "a finite amount of USD")
    return number


def _duration(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**9:
        return timedelta(seconds=value)
    found = parse_duration(value) if isinstance(value, str) else None
    if found is None:
        raise fault(shown(value), _DURATION_MEANT)
    return found


def parse_duration(text: str) -> timedelta | None:
    """A duration as the config file writes it, None for what is none."""
    match = _DURATION.fullmatch(text) if text else None
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def duration_text(value: timedelta) -> str:
    """A duration as the config file writes it: `2h`, `1h30m`, `90s` as `1m30s`."""
    seconds = int(value.total_seconds())
    parts = []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _timezone(value: str) -> str:
    if value not in available_timezones():
        raise fault(
            shown(value), "the name of a time zone, such as UTC or Europe/Berlin", known=tuple(available_timezones())
        )
    return value


def _secret(value: object) -> object:
    if isinstance(value, SecretStr):
        return value
    if not isinstance(value, Resolved):
        raise fault(
            "a value that is not a reference (not shown)",
            "a reference, ${env:NAME} or ${file:PATH}: secrets do not stand in the config",
        )
    return SecretStr(value)


def _moment(value: object) -> object:
    """A date, meaning its midnight in UTC, or a moment with an offset."""
    moment: date | None = value if isinstance(value, date) else None
    if isinstance(value, str):
        try:
            moment = date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
        except ValueError:
            moment = None
    if moment is not None and not isinstance(moment, datetime):
        return datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    if moment is None or moment.tzinfo is None:
        raise fault(shown(value), "a date such as 2026-01-31 (from midnight UTC), or a moment with an offset")
    return moment.astimezone(UTC)


def _time_of_day(value: object) -> object:
    if isinstance(value, time):
        return value
    if not (isinstance(value, str) and re.fullmatch(r"(?:[01]\d|2[0-3]):[0-5]\d", value, re.ASCII)):
        raise fault(shown(value), 'a time of day in quotes, such as "09:00"')
    return time.fromisoformat(value)


def _http_url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#@]+(?:[/?#]\S*)?", value):
        raise fault(shown(value), "an address that begins with https:// or http://, without a user or password")
    return value


Count = Annotated[int, BeforeValidator(_number_only)]
Number = Annotated[float, BeforeValidator(_number_only), Field(allow_inf_nan=False)]
Ratio = Annotated[float, BeforeValidator(_number_only), Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Usd = Annotated[
    Decimal,
    BeforeValidator(_exact),
    Field(ge=0, le=10**9),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 10**9}),
    PlainSerializer(float, when_used="json"),
]
Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(duration_text, when_used="json"),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": r"^(\d+d)?(\d+h)?(\d+m)?(\d+s)?$"}, {"type": "integer", "minimum": 0}]}
    ),
]
Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}),
]
TimeOfDay = Annotated[
    time,
    BeforeValidator(_time_of_day),
    WithJsonSchema({"type": "string", "pattern": r"^([01]\d|2[0-3]):[0-5]\d$"}),
    PlainSerializer(lambda value: value.strftime("%H:%M"), when_used="json"),
]
Text = Annotated[str, Field(min_length=1, max_length=512)]
Timezone = Annotated[str, AfterValidator(_timezone)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Port = Annotated[int, BeforeValidator(_number_only), Field(ge=1, le=65535)]
Secret = Annotated[
    SecretStr, BeforeValidator(_secret), WithJsonSchema({"type": "string", "pattern": r"^\$\{(env|file):[^}]+\}$"})
]
Glob = Annotated[str, Field(min_length=1, max_length=512)]


class Section(BaseModel):
    """A part of the config file: fixed once read, and without options that it does not know.

    An option `X_file` beside a secret `X` names the file that holds it; it is read here.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    needed_secrets: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def option_names(cls) -> tuple[str, ...]:
        """The options as the file writes them."""
        return tuple(info.alias or name for name, info in cls.model_fields.items())

    @classmethod
    def _secrets(cls) -> tuple[str, ...]:
        return tuple(name for name in cls.model_fields if f"{name}_file" in cls.model_fields)

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, data: Any, info: ValidationInfo) -> Any:
        """Read `X_file` into `X`. A file that can't be read is noted, and the rest is looked at all the same."""
        if not isinstance(data, dict):
            return data
        sources = info.context if isinstance(info.context, Sources) else Sources()
        sources.models[id(data)] = cls
        read: dict[str, SecretStr] = {}
        for name in cls._secrets():
            option, path = f"{name}_file", data.get(f"{name}_file")
            if path is not None and data.get(name) is not None:
                sources.note(data, option, f"both {option} and {name}", "one of them")
            elif path is not None and isinstance(path, str | Path):
                read[name] = sources.read_secret_file(data, option, str(path))
            elif path is None and data.get(name) is None and name in cls.needed_secrets:
                sources.note(
                    data, option, "no secret", f"{option}, the path of the file that holds it, or {name}, a reference"
                )
        if sources is not info.context and sources.notes:
            note = sources.notes[0]
            raise fault(note.got, note.meant, option=note.option)
        return {**data, **read}
