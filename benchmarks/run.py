"""Runs suites and writes their results and the tables: `python -m benchmarks.run [--quick] [SUITE...]`."""

import argparse
from collections.abc import Callable
from subprocess import SubprocessError
from time import monotonic

from benchmarks import table
from benchmarks.figures import Result, save
from benchmarks.suites import decode, envelopes, forecast, ingest, latency, profile, recovery, scale, workers

SUITES: dict[str, Callable[[bool], Result]] = {
    "ingest": ingest.run,
    "envelopes": envelopes.run,
    "decode": decode.run,
    "scale": scale.run,
    "workers": workers.run,
    "latency": latency.run,
    "recovery": recovery.run,
    "profile": profile.run,
    "forecast": forecast.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"one of {', '.join(SUITES)}; none: all of them")
    parser.add_argument("--quick", action="store_true", help="short runs, once each: to look, not to quote")
    given = parser.parse_args()
    if unknown := [name for name in given.suites if name not in SUITES]:
        parser.error(f"there is no suite {', '.join(unknown)}; choose from {', '.join(SUITES)}")
    failed: list[str] = []
    for name in given.suites or SUITES:
        print(f"{name} ...", flush=True)
        began_s = monotonic()
        try:
            result = SUITES[name](given.quick)
        except (RuntimeError, OSError, SubprocessError) as error:  # a TimeoutError is an OSError
            print(f"{name} failed, its last result stays: {error}", flush=True)
            failed.append(name)
            continue
        save(result)
        print(f"{name}, {monotonic() - began_s:.0f} s:\n{table.render(result)}\n", flush=True)
    table.main()
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
