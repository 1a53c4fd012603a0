"""Whether the service can do its work: named checks, ready only when all of them are well."""

from collections.abc import Callable, Mapping
from threading import Lock

from msgspec import Struct


class Readiness(Struct, frozen=True, kw_only=True):
    """The answer: ready or not, and for each check `ok` or the reason in words."""

    ready: bool
    checks: dict[str, str]


class Flag:
    """A check that someone else sets: not well until `ok` is called."""

    def __init__(self, reason: str) -> None:
        """A flag that is not well, for this reason."""
        self._reason: str | None = reason

    def ok(self) -> None:
        """From now on it is well."""
        self._reason = None

    def fail(self, reason: str) -> None:
        """From now on it is not well, for this reason. The reason is shown to anyone: no secret, no payload."""
        self._reason = reason

    def __call__(self) -> str | None:
        """None while it is well, else the reason."""
        return self._reason


class Health:
    """The checks of a process. A check returns None while it is well, else the reason in words; it does not wait."""

    def __init__(self, checks: Mapping[str, Callable[[], str | None]] | None = None) -> None:
        """Health with these checks to begin with; without any, the service is ready."""
        self._checks = dict(checks or {})
        self._notes: set[str] = set()  # checks that are shown only
        self._lock = Lock()

    def register(self, name: str, check: Callable[[], str | None], *, needed: bool = True) -> None:
        """Ask this too from now on. A name registered again replaces the earlier check.

        `needed`: whether the service can't do its work without it; else its answer is shown, and it stays ready.
        """
        with self._lock:
            self._checks[name] = check
            (self._notes.discard if needed else self._notes.add)(name)

    def flag(self, name: str, reason: str = "not started yet") -> Flag:
        """Register a check that its owner sets, and return it."""
        flag = Flag(reason)
        self.register(name, flag)
        return flag

    def readiness(self) -> Readiness:
        """Ask every check once."""
        with self._lock:
            checks, notes = dict(self._checks), set(self._notes)
        answers = {name: check() for name, check in sorted(checks.items())}
        return Readiness(
            ready=all(reason is None for name, reason in answers.items() if name not in notes),
            checks={name: reason or "ok" for name, reason in answers.items()},
        )
