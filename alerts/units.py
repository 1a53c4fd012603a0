"""Whether a rise is so large that a unit may be wrong: cents for dollars, milliseconds for seconds. Pure.

Nothing is corrected and nothing is kept back, for the rise may be real: whoever is told is told of the doubt as well.
"""

from alerts.incidents import Incident
from detectors.findings import Cause, Kind

SUSPECT_RATIO = 30.0  # times the usual: units lie 60, 100 or 1000 apart, and real rises of tenfold are told every week
SUSPECT = "unit suspect"
_LIKELY = {
    Cause.PRICE: "cost_usd in cents, or a price for a thousand tokens given as one for a token, looks like this",
    Cause.TOKENS_PER_REQUEST: "tokens that are counted as characters or bytes, or a thousandfold, look like this",
    Cause.GPU_HOURS: "span_s in milliseconds looks like this, and so do very many more accelerators",
}
_RATIOS = {Cause.PRICE: "price_ratio", Cause.TOKENS_PER_REQUEST: "size_ratio"}
_ELSE = "a cost or a count in another unit looks like this"


def suspicion(incident: Incident) -> str | None:
    """Why a unit may be wrong, in words; None where there is no reason to think so.

    More requests are no such reason: they are counted, and have no unit.
    """
    if incident.kind is not Kind.ANOMALY or incident.cause is Cause.REQUEST_RATE:
        return None
    ratio = _ratio(incident)
    if ratio is None or ratio < SUSPECT_RATIO:
        return None
    return f"{ratio:,.0f} times the usual: {_LIKELY.get(incident.cause, _ELSE)}; check the unit before anything else"


def _ratio(incident: Incident) -> float | None:
    stated = incident.evidence.get(_RATIOS.get(incident.cause, ""))
    if stated is not None:
        return stated
    observed, expected = incident.observed, incident.expected
    return observed / expected if observed is not None and expected is not None and expected > 0.0 else None
