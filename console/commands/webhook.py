"""`emberwatch webhook`: for those who write a receiver of scale-downs."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from console.exits import EXIT_CODES, Commands, ExitCode

app = typer.Typer(
    cls=Commands,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="For receivers of scale-downs: verify a request that was captured, print test vectors.",
    epilog=f"""\b
Examples:
  emberwatch webhook verify request.txt --secret-file secret
  emberwatch webhook vectors > vectors.json

{EXIT_CODES}""",
)


@app.command(
    epilog=f"""\b
Example:
  emberwatch webhook verify request.txt --secret-file secret --at 2026-11-24T23:10:00Z

REQUEST holds the headers, an empty line and the body, byte for byte as they arrived.

{EXIT_CODES}"""
)
def verify(
    request: Annotated[Path, typer.Argument(help="A captured request; - is standard input.", allow_dash=True)],
    secret_file: Annotated[Path, typer.Option("--secret-file", exists=True, dir_okay=False, help="The shared secret.")],
    at: Annotated[str | None, typer.Option("--at", help="When it arrived (RFC 3339); default: now.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Say whether a receiver should take a request, and what it asks for; ends with 1 where it should not."""
    from alerts.secrets import Secret
    from alerts.targets.receiver import receive
    from alerts.targets.signature import SignatureError, check_secret
    from console.commands.printing import echo_json

    now = _moment(at)
    secret = Secret(secret_file.read_text(encoding="utf-8").strip())
    try:
        check_secret(secret)
        raw = sys.stdin.buffer.read() if str(request) == "-" else request.read_bytes()
    except (OSError, SignatureError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(ExitCode.USAGE) from None
    headers, body = _parts(raw)
    answer = receive([secret], headers, body, now, taken=lambda _: False)
    if as_json:
        echo_json({"status": answer.status, **answer.said, "request": answer.request})
    elif answer.request is None:
        typer.echo(f"{answer.status}: {answer.said['error']}")
    else:
        asked = answer.request
        change = asked.change.replicas
        typer.echo(f"{answer.status}: {asked.type} of {asked.workload}, {change.from_} to {change.to} replicas")
    if answer.request is None:
        raise typer.Exit(ExitCode.FAILURE)


@app.command(
    epilog=f"""\b
Example:
  emberwatch webhook vectors > vectors.json

{EXIT_CODES}"""
)
def vectors() -> None:
    """Print requests that a receiver must take or turn down, with the status of each, as JSON."""
    from alerts.targets import vectors as known
    from console.commands.printing import echo_json

    echo_json({"secret": known.SECRET, "vectors": known.vectors()})


def _moment(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time; write 2026-11-24T23:10:00Z", param_hint="--at") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _parts(raw: bytes) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a captured request; a request line before the headers is left out."""
    mark = b"\r\n\r\n" if b"\r\n\r\n" in raw else b"\n\n"
    head, _, body = raw.partition(mark)
    pairs = (line.partition(":") for line in head.decode("latin-1").splitlines())
    return {name.strip().lower(): value.strip() for name, colon, value in pairs if colon}, body
