"""The command line: `emberwatch COMMAND`. Results go to standard output, messages to standard error."""

import typer

from console.commands import (
    actions,
    backtest,
    config,
    digest,
    dlq,
    explain,
    forecast,
    incidents,
    notify,
    produce,
    replay,
    rules,
    run,
    score,
    silences,
    topics,
    version,
    webhook,
    workers,
)
from console.exits import EXIT_CODES, Commands


class Main(Commands):
    """All commands, in the order in which a newcomer meets them."""

    ordered = (
        *("run", "demo", "replay", "worker", "serve", "topics", "produce"),
        *("incidents", "explain", "silences", "digest", "actions", "backtest", "rules", "notify", "dlq", "webhook"),
        *("score", "forecast", "config", "version"),
    )


app = typer.Typer(
    name="emberwatch",
    cls=Main,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Watch what AI infrastructure costs: idle accelerators, unusual spend, budgets about to break.",
    epilog=f"""\b
Examples:
  emberwatch demo                                    a made-up fleet, with nothing to set up
  emberwatch config check emberwatch.yaml            is this config right, and what would it do?
  emberwatch replay events.jsonl.gz -c emberwatch.yaml
                                                     what it would have said of recorded events
  emberwatch run -c emberwatch.yaml                  the whole service in one process
  emberwatch incidents -c emberwatch.yaml            what is wrong now, in dollars
  emberwatch digest -c emberwatch.yaml               what the last week cost
  emberwatch actions pause -c emberwatch.yaml        stop nothing from now on
  emberwatch COMMAND --help                          what a command does, with examples

{EXIT_CODES}

Results go to standard output, messages to standard error. NO_COLOR=1 turns colours off.""",
)
app.add_typer(config.app, name="config", short_help="Check a config file; print its schema.")
app.command("run", short_help="The whole service in one process: SQLite, no Kafka.", epilog=run.RUN_EPILOG)(run.run)
app.command("demo", short_help="The service on a made-up fleet; nothing leaves this machine.", epilog=run.DEMO_EPILOG)(
    run.demo
)
app.command(
    "worker", short_help="Consume events from Kafka, detect and act; run several.", epilog=workers.WORKER_EPILOG
)(workers.worker)
app.command("serve", short_help="The console beside Kafka workers.", epilog=workers.SERVE_EPILOG)(workers.serve)
app.add_typer(topics.app, name="topics", short_help="Make the topics before the first worker starts.")
app.command("produce", short_help="Publish event files to Kafka.", epilog=produce.EPILOG)(produce.produce_files)
app.command("replay", short_help="What it would have said of recorded events.", epilog=replay.EPILOG)(replay.replay)
app.add_typer(incidents.app, name="incidents", short_help="What is wrong: list it, show it, acknowledge it.")
app.command("explain", short_help="The story of an incident: what was decided, and why.", epilog=explain.EPILOG)(
    explain.explain
)
app.add_typer(silences.app, name="silences", short_help="What is not told, for a time: list, add, end.")
app.command("digest", short_help="What a week cost, and what was wasted.", epilog=digest.EPILOG)(digest.digest)
app.add_typer(actions.app, name="actions", short_help="Scale-downs: list, approve, keep, undo; pause them all.")
app.add_typer(notify.app, name="notify", short_help="Try a channel: does it reach anyone?")
app.command("backtest", short_help="What a policy would have said of the past.", epilog=backtest.EPILOG)(
    backtest.backtest
)
app.add_typer(rules.app, name="rules", short_help="Unit tests of policies.")
app.add_typer(dlq.app, name="dlq", short_help="Events set aside: list, show, put back; resume a stopped partition.")
app.add_typer(webhook.app, name="webhook", short_help="For receivers of scale-downs: verify a request, test vectors.")
app.command("score", short_help="Score series of your own, from CSV.", epilog=score.EPILOG)(score.score)
app.command("forecast", short_help="Go on with series of your own, from CSV.", epilog=forecast.EPILOG)(
    forecast.forecast
)
app.command("version")(version.show_version)


def main() -> None:
    """Run the command line and exit."""
    app(prog_name="emberwatch")
