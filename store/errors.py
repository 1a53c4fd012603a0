"""What can go wrong with the store, in words that an operator can act on. No driver's error leaves `store/`."""


class StoreError(Exception):
    """The store refuses: trying again changes nothing until a person, or the caller, changes something."""


class StoreUnavailable(StoreError):
    """The database can't be reached or is busy: nothing was written, and the same call may succeed later."""


class Fenced(StoreError):
    """Someone else has claimed the partition since: drop what is in memory and write no more."""


class AlreadyOpen(StoreError):
    """Another incident is open for the same fingerprint: `incident_id` names it."""

    def __init__(self, message: str, incident_id: str) -> None:
        super().__init__(message)
        self.incident_id = incident_id
