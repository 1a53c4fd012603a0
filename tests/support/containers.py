"""Servers in Docker containers, where a Docker engine answers."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.support.missing import CannotBeHad

ANSWER_S = 5.0
PULL_S = 300.0


def engine_answers() -> bool:
    """Whether a Docker client is installed and an engine answers it within five seconds."""
    if shutil.which("docker") is None:
        return False
    try:
        asked = subprocess.run(
            ["docker", "info", "--format", "{{.ServerVersion}}"], capture_output=True, text=True, timeout=ANSWER_S
        )
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0 and bool(asked.stdout.strip())


@dataclass
class Container:
    """One container that is removed when it stops; its ports are published on 127.0.0.1 only."""

    image: str
    ports: Mapping[int, int]  # port of this machine -> port in the container
    environment: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] = ()
    name: str = ""

    def start(self) -> None:
        """Pull the image where it is missing and start. Raises CannotBeHad."""
        options = [f"--publish=127.0.0.1:{here}:{there}" for here, there in self.ports.items()]
        options += [f"--env={key}={value}" for key, value in self.environment.items()]
        line = ["docker", "run", "--detach", "--rm", *options, self.image, *self.command]
        try:
            started = subprocess.run(line, capture_output=True, text=True, timeout=PULL_S)
        except subprocess.TimeoutExpired as late:
            raise CannotBeHad(f"docker could not start {self.image} within {PULL_S:g} s") from late
        if started.returncode != 0:
            raise CannotBeHad(f"docker could not start {self.image}: {started.stderr.strip()[-500:]}")
        self.name = started.stdout.strip()

    def stop(self) -> None:
        """Kill and remove the container; harmless when it is gone."""
        if self.name:
            subprocess.run(["docker", "rm", "--force", self.name], capture_output=True, timeout=60.0)
            self.name = ""
