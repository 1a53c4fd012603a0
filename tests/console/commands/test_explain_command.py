"""`emberwatch explain` and `emberwatch notify test`: the story of an incident, and whether a channel reaches anyone."""

from datetime import timedelta
from pathlib import Path

import pytest
from msgspec import json
from typer.testing import CliRunner, Result

from alerts.reasons import HUSH_WORDS, Hush
from console.cli import app
from tests.console.commands.kept import IDLE, kept, opened
from tests.store.samples import NOON, notice

RUN = CliRunner()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return kept(tmp_path)


def call(config: Path, *arguments: str) -> Result:
    return RUN.invoke(app, [*arguments, "--config", str(config)], env={"COLUMNS": "160"})


def test_every_reason_to_keep_quiet_has_its_words():
    assert set(HUSH_WORDS) == set(Hush)


def test_the_story_tells_what_was_said_what_was_not_and_why(config: Path, tmp_path: Path):
    store = opened(tmp_path)
    store.enqueue([notice("n2", 1, step="updated", channel="book", body=json.encode(IDLE))])
    store.hush_notice("n2", Hush.BUDGET_SPENT, NOON + timedelta(minutes=3))
    store.snooze("inc_a", NOON + timedelta(days=400), "ana", NOON + timedelta(minutes=4))
    store.close()

    told = call(config, "explain", "inc_a").stdout

    lines = [" ".join(line.split()) for line in told.splitlines()]
    assert "default: book" in lines
    assert (
        "2026-03-02 12:03:00 book: updated, because first time; held back (budget_spent): its owner was woken often "
        "enough; other channels were told" in lines
    )
    assert "2026-03-02 12:04:00 ana: snooze (done)" in lines


def test_of_what_never_was_there_is_no_story(config: Path):
    assert call(config, "explain", "inc_none").exit_code == 1


def test_a_channel_is_tried_with_an_incident_and_its_end(config: Path):
    dry = call(config, "notify", "test", "--to", "book", "--dry-run")
    sent = call(config, "notify", "test", "--to", "book")
    wrong = call(config, "notify", "test", "--to", "nobody")

    assert "this is a trial of the channel" in dry.stdout
    assert sent.stdout == "opened: delivered\nresolved: delivered\n"
    assert (dry.exit_code, sent.exit_code, wrong.exit_code) == (0, 0, 2)
