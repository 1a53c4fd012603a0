"""Column types that give back what they were given, on both databases."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import DateTime, Dialect, Numeric, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from store.errors import StoreError


class UtcMoment(TypeDecorator[datetime]):
    """An aware moment, in UTC both ways. SQLite keeps it as text that sorts as time does."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn any aware moment into UTC; raise StoreError for a naive one."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise StoreError(f"a moment must bear its offset from UTC, got {value.isoformat()}")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give back the moment in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal with every digit it came with: NUMERIC without limits on PostgreSQL, text on SQLite."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Avoid SQLite's NUMERIC, which is a float."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else Numeric())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Decimal | str | None:
        """Write plain digits, without an exponent, where the column is text."""
        if value is None or dialect.name != "sqlite":
            return value
        return f"{value:f}"

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Decimal | None:
        """Give back the decimal."""
        return None if value is None else Decimal(value)


class Words(TypeDecorator[str]):
    """Text from outside. PostgreSQL can't hold a NUL character, so it becomes U+FFFD on both databases."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace what one of the databases would refuse."""
        return None if value is None else storable(value)


def storable(words: str) -> str:
    """Return the text as `Words` keeps it."""
    return words.replace("\x00", "\ufffd")
