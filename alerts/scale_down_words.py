"""Why a scale-down does not go on, in plain words."""

from alerts.scale_down import Action, Why
from alerts.wording import clean

WAITS: dict[Why, str] = {
    Why.PAUSED: "all scale-downs are paused",
    Why.NOT_IDLE: "the incident is over",
    Why.NO_WORKLOAD: "the accelerators are nobody's: there is nothing to scale",
    Why.NOT_SELECTED: "the selector does not match it",
    Why.PROTECTED: "it is protected",
    Why.TARGET_UNKNOWN: "its target does not answer, or knows no such workload",
    Why.TARGET_MANAGED: "something else sets its size and would set it back",
    Why.STATE_UNKNOWN: "whether it is idle now is not known",
    Why.BUSY: "it is busy now",
    Why.TELEMETRY_STALE: "its newest telemetry is too old",
    Why.TOO_LITTLE_EVIDENCE: "too few kinds of evidence agree",
    Why.FLEET_UNKNOWN: "how many accelerators there are is not known",
    Why.CORRELATED_IDLE: "so much turned idle at once that the telemetry is suspect",
    Why.TOO_EARLY: "it has not been idle for long enough yet",
    Why.OBSERVE_ONLY: "the mode is observe: nothing is stopped",
    Why.NOT_APPROVED: "nobody has approved it yet",
    Why.WARNED_TOO_LATELY: "the time to object that its warning gave is not over",
    Why.WARNING_NOT_DELIVERED: "no channel has accepted the warning yet",
    Why.FROZEN: "a freeze holds: nothing is stopped just now",
    Why.WORKLOAD_LIMIT: "as many workloads were stopped in the last hour, or day, as may be",
    Why.TEAM_LIMIT: "as many workloads of its team were stopped in the last hour as may be",
    Why.GPU_LIMIT: "with it, more of the fleet would be stopped than may be",
    Why.WAITING_FOR_PROOF: "the telemetry does not show yet that it has stopped",
}


def waiting_in_words(action: Action) -> str:
    """Why it did not go on when it was looked at last; empty where nothing holds it up."""
    known = {str(why): words for why, words in WAITS.items()}
    return clean(known.get(action.waiting, action.waiting.replace("_", " ")), 200)
