"""One suite a file: `run(quick)` measures, and returns a `Result`."""
