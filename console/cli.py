"""The command line: `emberwatch COMMAND`. Results go to standard output, messages to standard error."""

import typer

from console.commands import config, produce, replay, run, topics, version, workers
from console.exits import EXIT_CODES, Commands

app = typer.Typer(
    name="emberwatch",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Watch what AI infrastructure costs: idle accelerators, unusual spend, budgets about to break.",
    epilog=f"""\b
Examples:
  emberwatch config check emberwatch.yaml    is this config right, and what would it do?
  emberwatch config schema                   every option, for editors
  emberwatch COMMAND --help                  what a command does, with examples

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
app.command("version")(version.show_version)


def main() -> None:
    """Run the command line and exit."""
    app(prog_name="emberwatch")
