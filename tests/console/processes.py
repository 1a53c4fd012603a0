"""The command line as a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
MAIN = [sys.executable, "-c", "from console.cli import main; main()"]


def environment(**more: str) -> dict[str, str]:
    """This process's, without what would colour or narrow the output."""
    kept = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "COLUMNS", "NO_COLOR")}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


def emberwatch(*arguments: str, cwd: Path | None = None, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        [*MAIN, *arguments], cwd=cwd or ROOT, env=environment(**more), capture_output=True, text=True, timeout=300
    )


class Running:
    """A command that goes on; its output goes to files, so that no pipe fills up."""

    def __init__(self, folder: Path, *arguments: str, **more: str) -> None:
        """Start it."""
        folder.mkdir(parents=True, exist_ok=True)
        self._out, self._err = folder / "stdout", folder / "stderr"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [*MAIN, *arguments], cwd=folder, env=environment(**more), stdout=out, stderr=err
            )

    @property
    def out(self) -> str:
        """What it has printed."""
        return self._out.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        """What it has said on standard error."""
        return self._err.read_text(encoding="utf-8")

    def wait_for(self, text: str, within_s: float) -> None:
        """Until it has printed this."""
        found = wait_until(lambda: text in self.out or self.process.poll() is not None, within_s)
        assert found, f"{text!r} was not printed within {within_s:g} s:\n{self.out}\n{self.err}"
        assert text in self.out, f"ended with {self.process.returncode}:\n{self.out}\n{self.err}"

    def stop(self, number: int = signal.SIGINT, within_s: float = 60.0) -> int:
        """End it as a person would, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(within_s)

    def kill(self) -> None:
        """End it for certain."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(60)
