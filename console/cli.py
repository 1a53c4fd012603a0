"""The command line: `emberwatch COMMAND`. Results go to standard output, messages to standard error."""

import typer

from console.commands import (
    actions,
    config,
    digest,
    forecast,
    incidents,
    produce,
    replay,
    run,
    topics,
    version,
    workers,
)
from console.exits import EXIT_CODES, Commands


class Main(Commands):
    """All commands, in the order in which a newcomer meets them."""

    ordered = (
        *("run", "demo", "replay", "worker", "serve", "topics", "produce"),
        *("incidents", "digest", "actions", "forecast", "config", "version"),
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
app.add_typer(config.app, name="config")
app.command("run", epilog=run.RUN_EPILOG)(run.run)
app.command("demo", epilog=run.DEMO_EPILOG)(run.demo)
app.command("worker", epilog=workers.WORKER_EPILOG)(workers.worker)
app.command("serve", epilog=workers.SERVE_EPILOG)(workers.serve)
app.add_typer(topics.app, name="topics")
app.command("produce", epilog=produce.EPILOG)(produce.produce_files)
app.command("replay", epilog=replay.EPILOG)(replay.replay)
app.add_typer(incidents.app, name="incidents")
app.command("digest", epilog=digest.EPILOG)(digest.digest)
app.add_typer(actions.app, name="actions")
app.command("forecast", epilog=forecast.EPILOG)(forecast.forecast)
app.command("version")(version.show_version)


def main() -> None:
    """Run the command line and exit."""
    app(prog_name="emberwatch")
