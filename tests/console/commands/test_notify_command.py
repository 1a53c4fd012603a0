"""`emberwatch notify test`: whether a channel reaches anyone."""

from pathlib import Path

from typer.testing import CliRunner, Result

from console.cli import app
from tests.console.commands.kept import kept

RUN = CliRunner()


def call(config: Path, *arguments: str) -> Result:
    return RUN.invoke(app, [*arguments, "--config", str(config)], env={"COLUMNS": "160"})


def test_a_channel_is_tried_with_an_incident_and_its_end(tmp_path: Path):
    config = kept(tmp_path)

    dry = call(config, "notify", "test", "--to", "book", "--dry-run")
    sent = call(config, "notify", "test", "--to", "book")
    wrong = call(config, "notify", "test", "--to", "nobody")

    assert "this is a trial of the channel" in dry.stdout
    assert sent.stdout == "opened: delivered\nresolved: delivered\n"
    assert (dry.exit_code, sent.exit_code, wrong.exit_code) == (0, 0, 2)
