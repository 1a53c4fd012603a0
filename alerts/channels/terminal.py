"""The terminal: shows a notice as its Slack message would look."""

from typing import Any

from msgspec import MsgspecError
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from alerts.channels.rendering import Rendered, render
from alerts.incidents import Severity
from alerts.notices import Notice, Outcome, Receipt
from alerts.wording import clean, visible

_COLOUR = {Severity.PAGE: "red", Severity.WARN: "dark_orange", Severity.INFO: "blue"}
_UNESCAPE = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))


class TerminalChannel:
    """Prints each notice to a Rich console."""

    def __init__(self, name: str, console: Console, *, link_base: str | None = None) -> None:
        self.name = name
        self._console = console
        self._link_base = link_base

    def send(self, notice: Notice, reference: str | None) -> Receipt:
        """Print it as a box with a title, figures and the reason."""
        try:
            message = render(notice, self._link_base)
        except MsgspecError:
            return Receipt(outcome=Outcome.REFUSED, detail="the notice's body cannot be read")
        self._console.print(as_slack_shows_it(message, channel=notice.channel))
        return Receipt(outcome=Outcome.DELIVERED, reference=reference or notice.notice_id)

    def find(self, notice: Notice, reference: str | None) -> Receipt:
        """What was printed cannot be read back, and printing it again does no harm."""
        return Receipt(outcome=Outcome.RETRY)


def as_slack_shows_it(message: Rendered, *, channel: str) -> Panel:
    """The message's blocks in a box."""
    parts: list[RenderableType] = []
    for block in message.blocks or [{"type": "section", "text": {"text": message.text}}]:
        if block["type"] == "header":
            parts.append(Text(visible(block["text"]["text"]), style="bold"))
        elif "fields" in block:
            parts += [Text(""), _fields(block["fields"])]
        elif block["type"] == "section":
            parts += [Text(""), Text(_words(block["text"]["text"]))]
        elif block["type"] == "context":
            texts = [_words(element.get("text", "")) for element in block["elements"]]
            parts += [Text(""), Text(" ".join(texts), style="dim")]
    return Panel(
        Group(*parts), title=Text(f"Slack · {clean(channel, 40)}"), title_align="left", border_style=_colour(message)
    )


def _fields(pairs: list[dict[str, Any]]) -> Table:
    table = Table.grid(padding=(0, 4))
    table.add_column()
    table.add_column()
    cells = [Text.assemble((label.strip("*"), "bold"), "\n", _words(value)) for label, value in map(_split, pairs)]
    for i in range(0, len(cells), 2):
        table.add_row(*cells[i : i + 2])
    return table


def _split(field: dict[str, Any]) -> tuple[str, str]:
    label, _, value = field["text"].partition("\n")
    return label, value


def _words(mrkdwn: str) -> str:
    """The text that a reader of mrkdwn sees: code marks, links and escapes undone."""
    text = visible(mrkdwn).replace("`", "")
    while (start := text.find("<http")) >= 0 and (end := text.find(">", start)) >= 0:
        address, _, label = text[start + 1 : end].partition("|")
        text = (
            f"{text[:start]}{label}: {address}{text[end + 1 :]}"
            if label
            else f"{text[:start]}{address}{text[end + 1 :]}"
        )
    for escaped, plain in _UNESCAPE:
        text = text.replace(escaped, plain)
    return text


def _colour(message: Rendered) -> str:
    if message.incident is None:
        return "cyan"
    return "green" if message.incident.resolved_at is not None else _COLOUR[message.incident.severity]
