"""Structured logs on standard error, with secrets taken out whatever wrote them.

The service's own events and those of its libraries go the same way.
"""

import logging
import sys
from collections.abc import Mapping
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from console.redaction import HIDDEN, names_a_secret, redact

CHATTY = ("alembic", "uvicorn")  # they tell of their own inner life what nobody asked for


def configure_logging(level: str, format: Literal["json", "console"], stream: TextIO | None = None) -> None:
    """Write events of this level and above to `stream` (standard error by default), one line each."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    out = stream or sys.stderr
    render: Processor
    if format == "json":
        render = structlog.processors.JSONRenderer(sort_keys=True, default=str)
    else:
        render = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                hide_secrets,
                render,
                hide_in_line,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.NOTSET if level == "debug" else max(root.level, logging.WARNING))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def hide_secrets(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Hide values that look like secrets, and all values of fields that are named for one."""
    return {key: _hidden(key, value) for key, value in event.items()}


def hide_in_line(logger: WrappedLogger, method: str, line: Any) -> str:
    """The last look, at the finished line: a secret may have come from the text of any object."""
    return redact(str(line))


def _hidden(key: str, value: Any) -> Any:
    if names_a_secret(key) and value is not None:
        return HIDDEN
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, bytes):
        return redact(value.decode("utf-8", "replace"))
    if isinstance(value, Mapping):
        return {redact(str(inner)): _hidden(str(inner), item) for inner, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_hidden("", item) for item in value]
    return value
