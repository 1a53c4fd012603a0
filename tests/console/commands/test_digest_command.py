"""`emberwatch digest`: what it prints, and that a week is told once."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from alerts.scale_down import ActionStep
from console.cli import app
from tests.console.commands.kept import kept, opened, with_spend
from tests.store.samples import action

RUN = CliRunner()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return kept(tmp_path)


def digest(config: Path, *arguments: str) -> Result:
    return RUN.invoke(app, ["digest", "--config", str(config), *arguments])


def test_a_week_is_printed_and_begins_with_the_money(config: Path):
    result = digest(config, "--week", "2026-W10")

    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("$8.00 spent in 2026-W10")
    assert "  search  $4.00 (new)" in lines


def test_a_week_is_printed_as_a_page_and_for_programs(config: Path):
    page, data = digest(config, "--week", "2026-W10", "--html"), digest(config, "--week", "2026-W10", "--json")

    assert page.stdout.startswith("<!DOCTYPE html>")
    read = json.loads(data.stdout)
    assert read["title"].startswith("$8.00 spent in 2026-W10")
    assert (read["week"]["label"], read["total"]["this_usd"]) == ("2026-W10", 8.0)


def test_a_week_is_told_once(config: Path, tmp_path: Path):
    due = (datetime.now(UTC) - timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    monday = due - timedelta(days=due.weekday() + 7)
    text = config.read_text()
    config.write_text(text.replace("{to: [book]}", f'{{to: [book], day: {due:%A}, at: "00:00"}}'.lower()))
    with_spend(tmp_path, monday + timedelta(hours=12))

    first, second = digest(config, "--send"), digest(config, "--send")
    store = opened(tmp_path)
    (sent,) = [entry for entry in store.notices(10, channel="book") if entry.notice.subject == "digest"]
    store.close()

    week = f"{monday.isocalendar().year}-W{monday.isocalendar().week:02d}"
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert first.stdout == second.stdout
    assert first.stderr == f"{week} is in the outbox for book; the running service delivers it\n"
    assert second.stderr == f"{week} was already sent to book; nothing was sent now\n"
    assert sent.notice.title == first.stdout.splitlines()[0]


def test_what_is_no_news_is_not_sent(config: Path):
    result = digest(config, "--week", "2026-W10", "--send")

    assert result.exit_code == 5
    assert result.stderr == "not sent: the digest of 2026-W10 was due on 2026-03-09, and is no news any more\n"


def test_a_week_that_lasts_is_printed_and_not_sent(config: Path):
    result = digest(config, "--week", "2126-W10", "--send")

    assert result.exit_code == 5
    assert result.stderr == (
        "2126-W10 is not over yet: these are the figures so far\nnot sent: 2126-W10 is not over yet\n"
    )


def test_without_a_channel_nothing_is_sent(config: Path):
    config.write_text(config.read_text().replace("digest: {to: [book]}", ""))

    result = digest(config, "--week", "2026-W10", "--send")

    assert (result.exit_code, "digest.to names no channel" in result.stderr) == (5, True)


@pytest.mark.parametrize("week", ["2026-10", "2026-W60", "2026-W00", "last", "0000-W01", "9999-W52"])
def test_what_is_no_week_is_wrong_usage(config: Path, week: str):
    result = digest(config, "--week", week)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "--week" in result.stderr
    assert "week" in result.stderr


def test_a_week_that_lasts_claims_nothing_of_the_future(config: Path, tmp_path: Path):
    now = datetime.now(UTC)
    executed = now - timedelta(minutes=30)
    store = opened(tmp_path)
    store.save_action(action(ActionStep.VERIFIED, at=executed, executed_at=executed, usd_per_hour=8.0))
    store.close()
    iso = now.isocalendar()

    result = digest(config, "--week", f"{iso.year}-W{iso.week:02d}", "--json")

    assert result.exit_code == 0
    assert 0.0 < json.loads(result.stdout)["actions"]["saved_usd"] <= 4.5
