"""The digest as plain text, for a terminal and for the text part of a mail."""

from alerts import digest_words as words
from alerts.digest import Digest
from alerts.digest_sections import Section, sections


def text(digest: Digest) -> str:
    """The whole digest; names stand in a column of their own."""
    blocks = [f"{digest.title}\n{words.period(digest.week)}", *map(_block, sections(digest))]
    return "\n\n".join(blocks) + "\n"


def _block(section: Section) -> str:
    width = max(len(name) for name, _ in section.rows)
    rows = [f"  {name:<{width}}  {said}" if width else f"  {said}" for name, said in section.rows]
    return "\n".join([section.heading, *rows])
