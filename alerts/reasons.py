"""Why something is said: a name for each decision to speak."""

from enum import StrEnum


class Reason(StrEnum):
    """Why something is said, or not said. Stored, counted and tested."""

    FIRST_TIME = "first_time"
    SEVERITY_RAISED = "severity_raised"
    DOLLARS_DOUBLED = "dollars_doubled"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    WEEKLY = "weekly"
    ACTION_WARNED = "action_warned"
    ACTION_PROPOSED = "action_proposed"
    ACTION_DONE = "action_done"
