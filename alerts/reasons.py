"""Why something is said, and why something is not: a name for each decision."""

from enum import StrEnum


class Reason(StrEnum):
    """Why something is said. Stored, counted and tested."""

    FIRST_TIME = "first_time"
    REOPENED = "reopened"
    SEVERITY_RAISED = "severity_raised"
    DOLLARS_DOUBLED = "dollars_doubled"
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    EXPECTED = "expected"
    RESOLVED = "resolved"
    HUSH_ENDED = "hush_ended"  # it was held back, and what held it back is over
    STILL_OPEN = "still_open"
    NOT_ACKNOWLEDGED = "not_acknowledged"
    SUMMARY = "summary"
    WEEKLY = "weekly"
    ACTION_WARNED = "action_warned"
    ACTION_PROPOSED = "action_proposed"
    ACTION_DONE = "action_done"


class Hush(StrEnum):
    """Why something is not said. Stored, counted and tested."""

    SILENCED = "silenced"
    SNOOZED = "snoozed"
    EXPECTED = "expected"
    TELEMETRY_LOST = "telemetry_lost"  # the same workload or accelerators are not heard: idle can't be told
    FLAPPING = "flapping"  # the same condition ended less than an hour ago
    FLEET_CAUSE = "fleet_cause"  # a part of something that all of a cluster has: told in one summary
    GROUPED = "grouped"  # one of many of a team, cluster and cause: told in one summary
    COLLAPSED = "collapsed"  # one of a storm: told in one summary
    BUDGET_SPENT = "budget_spent"  # its owner was woken often enough
    NEVER_TOLD = "never_told"  # the end of what was held back


HUSH_WORDS: dict[Hush, str] = {
    Hush.SILENCED: "a silence or a maintenance window matched it",
    Hush.SNOOZED: "someone wanted to hear of it later",
    Hush.EXPECTED: "someone said that it was to be expected",
    Hush.TELEMETRY_LOST: "the same workload or accelerators were not heard, and what is not heard only looks idle",
    Hush.FLAPPING: "the same condition had ended less than an hour before",
    Hush.FLEET_CAUSE: "all of its cluster had it; a summary told of it",
    Hush.GROUPED: "its team had many of it at once; a summary told of it",
    Hush.COLLAPSED: "it came in a storm; a summary told of it",
    Hush.BUDGET_SPENT: "its owner was woken often enough; other channels were told",
    Hush.NEVER_TOLD: "nothing of it had been told, so its end was not either",
}
