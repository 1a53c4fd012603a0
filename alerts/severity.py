"""How loudly a finding is said: judged by its dollars, its confidence and its kind. Pure."""

from enum import StrEnum

from msgspec import Struct

from detectors.findings import Cause, Finding, Kind


class Severity(StrEnum):
    """How loudly it is said: wake someone, tell someone, or record and digest only."""

    PAGE = "page"
    WARN = "warn"
    INFO = "info"

    @property
    def loudness(self) -> int:
        """0 for info, 1 for warn, 2 for page: severities are compared by this."""
        return _LOUDNESS[self]


_LOUDNESS = {Severity.INFO: 0, Severity.WARN: 1, Severity.PAGE: 2}


class SeverityPolicy(Struct, frozen=True, kw_only=True):
    """The thresholds between page, warn and info.

    Waking someone takes certainty and dollars that grow while they sleep. What a night's sleep does not make worse
    never pages: a budget (the burn that breaks it pages by itself), a bill that disagrees, a drift over weeks, lost
    telemetry and unpriced usage. A partition that was stopped is no finding, and always pages.
    """

    page_confidence: float = 0.9  # 0 to 1
    page_usd_per_hour: float = 100.0
    page_usd: float = 1000.0
    warn_usd_per_hour: float = 0.5
    warn_usd: float = 2.0
    warn_breach_confidence: float = 0.8  # 0 to 1: how likely a budget's breach must be; a broken one is at 1
    say_again_from_usd: float = 10.0  # below this much, dollars that double are not worth another message

    def of(self, finding: Finding) -> Severity:
        """Judge one finding by its own figures; what was said before does not matter here."""
        match finding.kind:
            case Kind.DATA_GAP | Kind.UNPRICED:
                return Severity.WARN
            case Kind.BUDGET:
                return Severity.WARN if finding.confidence >= self.warn_breach_confidence else Severity.INFO
            case Kind.DRIFT | Kind.RECONCILIATION:
                return self._told(finding)
            case _ if _explained(finding):
                return Severity.INFO
            case _:
                return Severity.PAGE if self._wakes(finding) else self._told(finding)

    def _wakes(self, finding: Finding) -> bool:
        saves = finding.usd_per_hour < 0.0  # a price that fell is good news, however large
        return (
            finding.confidence >= self.page_confidence
            and not saves
            and (finding.usd_per_hour >= self.page_usd_per_hour or finding.usd_so_far >= self.page_usd)
        )

    def _told(self, finding: Finding) -> Severity:
        worth = abs(finding.usd_per_hour) >= self.warn_usd_per_hour or abs(finding.usd_so_far) >= self.warn_usd
        return Severity.WARN if worth else Severity.INFO


def _explained(finding: Finding) -> bool:
    """A step of the level next to a change that people made is what they wanted: the digest is enough."""
    return finding.kind is Kind.ANOMALY and finding.cause is Cause.LEVEL_STEP and bool(finding.changes)
