"""What a test does when a server it needs cannot be had: skip loudly, or fail in continuous integration."""

import os
from collections.abc import Mapping
from typing import NoReturn

import pytest


class CannotBeHad(RuntimeError):
    """A server could not be found or started; the message says what was tried and how to mend it."""


def in_continuous_integration(environ: Mapping[str, str]) -> bool:
    """Whether the run's `CI` variable says that nothing may be skipped for want of a server."""
    return environ.get("CI", "").strip().lower() in {"1", "true", "yes"}


def do_without(what: str, why: str, environ: Mapping[str, str] = os.environ) -> NoReturn:
    """End the test that needs `what`: a skip with the reason, or a failure where `CI` is true."""
    if in_continuous_integration(environ):
        pytest.fail(f"{what} is required in CI and could not be had: {why}", pytrace=False)
    pytest.skip(f"NOT TESTED, {what} could not be had: {why}")
