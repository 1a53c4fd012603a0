"""Whether the service can do its work: named checks, ready only when all of them are well."""

from collections.abc import Callable, Mapping
from threading import Lock

from msgspec import Struct


class Readiness(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer: ready or not, and for each check `ok` or the reason in words."""

    ready: bool
    checks: dict[str, str]
    notes: dict[str, str] = {}  # what people should know and no check refuses


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
        self._only_shown: set[str] = set()  # checks that are shown only
        self._notes: dict[str, Callable[[], str | None]] = {}
        self._lock = Lock()

    def register(self, name: str, check: Callable[[], str | None], *, needed: bool = True) -> None:
        """Ask this too from now on. A name registered again replaces the earlier check.

        `needed`: whether the service can't do its work without it; else its answer is shown, and it stays ready.
        """
        with self._lock:
            self._checks[name] = check
            (self._only_shown.discard if needed else self._only_shown.add)(name)

    def note(self, name: str, say: Callable[[], str | None]) -> None:
        """Ask this too: what it says is shown and makes nothing unready; None: there is nothing to say."""
        with self._lock:
            self._notes[name] = say

    def flag(self, name: str, reason: str = "not started yet") -> Flag:
        """Register a check that its owner sets, and return it."""
        flag = Flag(reason)
        self.register(name, flag)
        return flag

    def readiness(self) -> Readiness:
        """Ask every check once."""
        with self._lock:
            checks, only_shown, notes = dict(self._checks), set(self._only_shown), dict(self._notes)
        answers = {name: check() for name, check in sorted(checks.items())}
        return Readiness(
            ready=all(reason is None for name, reason in answers.items() if name not in only_shown),
            checks={name: reason or "ok" for name, reason in answers.items()},
            notes={name: said for name, say in sorted(notes.items()) if (said := say()) is not None},
        )
