"""The lines of the digest in words, for every form alike. Pure; plain text, not yet escaped."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from alerts.digest import Actions, BudgetLine, HeldLine, IdleLine, KindLine, Outlook, Quality, Spend, Week
from alerts.figures import change, usd
from alerts.regret import in_words

NOTHING_TO_DO = "Nothing to do."
NO_IDLE = "Nothing was idle."
NO_MOVERS = "No workload's spend has changed."
NO_INCIDENTS = "No incidents."
NO_SPEND = "No spend."


def period(week: Week) -> str:
    """The week's first and last day by its own wall clock."""
    zone = ZoneInfo(week.timezone)
    first = week.start.astimezone(zone)
    last = week.end.astimezone(zone) - timedelta(days=1)
    return f"{first.day} {first:%b} to {last.day} {last:%b %Y} ({week.timezone})"


def week_before(total: Spend) -> str:
    """What the week before cost, and the change since."""
    return (
        usd(total.last_usd) if total.change_ratio is None else f"{usd(total.last_usd)} ({change(total.change_ratio)})"
    )


def expected(outlook: Outlook) -> str:
    """The whole month's spend, with its interval."""
    return f"{usd(outlook.p50_usd)} expected{_interval(outlook.p10_usd, outlook.p90_usd)}"


def budget(line: BudgetLine) -> str:
    """What is spent of a budget, what is expected, and what that means."""
    end = f", {usd(line.p50_usd)}{_interval(line.p10_usd, line.p90_usd)} expected" if line.p50_usd is not None else ""
    return f"{usd(line.spent_usd)} of {usd(line.usd_per_month)} spent{end}: {line.outlook}"


def spend(line: Spend) -> str:
    """What a team cost, and the change."""
    return f"{usd(line.this_usd)} ({change(line.change_ratio)})"


def mover(line: Spend) -> str:
    """By how much a workload's spend has changed."""
    sign = "+" if line.change_usd > 0 else ""
    return f"{sign}{usd(line.change_usd)} ({change(line.change_ratio)}), {line.team}"


def idle(line: IdleLine) -> str:
    """What something idle cost, why, and whether it goes on."""
    gpus = f"{line.gpus} GPU{'' if line.gpus == 1 else 's'}, " if line.gpus else ""
    state = f"still idle at {usd(line.usd_per_hour)}/h" if line.open else "over now"
    return f"{usd(line.usd)} ({gpus}{line.cause}, {state}), {line.team}"


def kind(line: KindLine) -> str:
    """How many incidents of a kind there were, and what became of them."""
    parts = [
        f"{number} {word}"
        for number, word in (
            (line.acknowledged, "acknowledged"),
            (line.acted_on, "acted on"),
            (line.resolved, "resolved"),
            (line.open, "open"),
        )
        if number
    ]
    return f"{line.incidents} ({', '.join(parts)}), {usd(line.usd)}"


def actions(done: Actions) -> list[str]:
    """What was done, and what it saved or would have saved."""
    counts = [
        f"{number} {word}"
        for number, word in (
            (done.verified, "scaled down"),
            (done.waiting, "waiting for an answer"),
            (done.kept, "kept running"),
            (done.failed, "not seen to happen"),
            (done.undone, "undone"),
        )
        if number
    ]
    lines = [f"{usd(done.saved_usd)} saved: {', '.join(counts)}."] if counts else []
    if done.regret is not None:
        lines += in_words(done.regret)
    elif done.observed:
        lines.append(
            f"{usd(done.would_have_saved_usd)} would have been saved in mode auto ({done.observed} only observed)."
        )
    return lines or ["Nothing was scaled down, and nothing would have been."]


def quality(trust: Quality) -> str:
    """How far the figures can be trusted."""
    faults = [
        f"{number:,} {word if number == 1 else words}"
        for number, word, words in (
            (trust.gaps, "gap in the telemetry", "gaps in the telemetry"),
            (trust.rejects, "event set aside", "events set aside"),
            (trust.unpriced_tokens, "token without a price", "tokens without a price"),
        )
        if number
    ]
    if trust.lost_events or trust.lost_usd >= 0.005:
        lost = f"up to {trust.lost_events:,} messages" if trust.lost_events else "messages"
        missing = f" (about {usd(trust.lost_usd)} may be missing)" if trust.lost_usd >= 0.005 else ""
        faults.append(f"{lost} gone from Kafka unread{missing}")
    if abs(trust.late_usd) >= 0.005:
        faults.append(f"late data: {'+' if trust.late_usd > 0 else ''}{usd(trust.late_usd)}")
    return ", ".join(faults) + "." if faults else "No gaps, nothing set aside, everything priced."


def _interval(p10_usd: float | None, p90_usd: float | None) -> str:
    return "" if p10_usd is None or p90_usd is None else f" (80 %: {usd(p10_usd)} to {usd(p90_usd)})"


def held(line: HeldLine) -> str:
    """How many were held back for a reason, and their dollars."""
    return f"{line.incidents:,} incident{'' if line.incidents == 1 else 's'}, {usd(line.usd)} this week"
