"""The digest cut into titled sections of rows, in the order of reading. Pure; plain text, not yet escaped."""

from msgspec import Struct

from alerts import digest_words as words
from alerts.digest import Digest
from alerts.figures import usd


class Section(Struct, frozen=True):
    """A heading and its rows: a name (may be empty) and what is said of it."""

    heading: str
    rows: tuple[tuple[str, str], ...]


def sections(digest: Digest) -> tuple[Section, ...]:
    """Every section that has something to say; what waits for a person stands first."""
    total = [("This week", usd(digest.total.this_usd)), ("Week before", words.week_before(digest.total))]
    total.append(("Wasted", usd(digest.wasted_usd)))
    if digest.outlook is not None:
        total.append(("Whole month", words.expected(digest.outlook)))
    parts = [
        Section("To do", tuple(("", line) for line in digest.to_do) or (("", words.NOTHING_TO_DO),)),
        Section("Spend", tuple(total)),
        Section("Budgets", tuple((line.name, words.budget(line)) for line in digest.budgets)),
        Section("Teams", tuple((line.name, words.spend(line)) for line in digest.teams) or (("", words.NO_SPEND),)),
        Section(
            "Top movers", tuple((line.name, words.mover(line)) for line in digest.movers) or (("", words.NO_MOVERS),)
        ),
        Section("Top idle", tuple((line.workload, words.idle(line)) for line in digest.idle) or (("", words.NO_IDLE),)),
        Section(
            "Incidents",
            tuple((line.kind, words.kind(line)) for line in digest.incidents) or (("", words.NO_INCIDENTS),),
        ),
        Section("Held back", tuple((line.why, words.held(line)) for line in digest.held)),
        Section("Actions", tuple(("", line) for line in words.actions(digest.actions))),
        Section("Data quality", (("", words.quality(digest.quality)),)),
    ]
    return tuple(section for section in parts if section.rows)
