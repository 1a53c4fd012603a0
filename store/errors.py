"""What can go wrong with the store, in words that an operator can act on. No driver's error leaves `store/`."""

from enum import StrEnum


class Trouble(StrEnum):
    """Why the database can't be used just now."""

    UNREACHABLE = "unreachable"
    BUSY = "busy"
    LOCKED = "locked"
    FULL = "full"
    READ_ONLY = "read_only"

    @property
    def remedy(self) -> str:
        """What a person can do about it."""
        return _REMEDIES[self]


_REMEDIES = {
    Trouble.UNREACHABLE: "start the database, or check store.url and the network between",
    Trouble.BUSY: "wait; where it goes on, give the service a faster disk",
    Trouble.LOCKED: "end the program that holds the database locked (a sqlite3 shell, a backup, a long transaction)",
    Trouble.FULL: "free space on the database's disk",
    Trouble.READ_ONLY: "let the database take writes, or point store.url at the primary: this one is read-only",
}


class StoreError(Exception):
    """The store refuses: trying again changes nothing until a person, or the caller, changes something."""


class StoreUnavailable(StoreError):
    """The database can't be reached or is busy: nothing was written, and the same call may succeed later."""

    def __init__(self, message: str, trouble: Trouble = Trouble.UNREACHABLE) -> None:
        super().__init__(message)
        self.trouble = trouble


class Fenced(StoreError):
    """Someone else has claimed the partition since: drop what is in memory and write no more."""


class AlreadyOpen(StoreError):
    """Another incident is open for the same fingerprint: `incident_id` names it."""

    def __init__(self, message: str, incident_id: str) -> None:
        super().__init__(message)
        self.incident_id = incident_id
