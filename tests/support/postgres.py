"""A real PostgreSQL for the tests: Debian's server programs in a temporary cluster, or the official image."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import URL, make_url

from tests.support.containers import Container
from tests.support.missing import CannotBeHad
from tests.support.ports import LOOPBACK, free_ports
from tests.support.waiting import wait_until

START_S = 240.0
STOP_S = 120.0
OWNER = "emberwatch"
IMAGE = "postgres:16"
DEBIAN = Path("/usr/lib/postgresql")

# a test's data need not outlive the machine: what the server was told is still there after its process is killed
QUICK = ("fsync=off", "full_page_writes=off", "max_connections=60", "shared_buffers=32MB")


def server_programs() -> Path:
    """Find the folder of `initdb` and `postgres`, the newest of Debian's first. Raises CannotBeHad."""
    versions = sorted(
        (folder for folder in DEBIAN.glob("*") if (folder / "bin" / "initdb").is_file()),
        key=lambda folder: float(folder.name),
    )
    if versions:
        return versions[-1] / "bin"
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    raise CannotBeHad("there is no initdb; Debian's package is called postgresql")


def unprivileged_user() -> pwd.struct_passwd | None:
    """Choose who runs the server: nobody else, unless we are root, which PostgreSQL refuses. Raises CannotBeHad."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise CannotBeHad("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")


class PostgresCluster:
    """PostgreSQL on a free port of 127.0.0.1. What it was told survives `kill` and a new `start`."""

    def __init__(self, programs: Path, settings: Sequence[str] = QUICK) -> None:
        self._programs, self._settings = programs, settings
        self._process: subprocess.Popen[bytes] | None = None
        user = unprivileged_user()
        self._as_user: dict[str, Any] = {}
        (self._port,) = free_ports(1)
        # not below pytest's own folder: that is closed to other users
        self.home = Path(tempfile.mkdtemp(prefix="emberwatch-postgres-"))
        self.url = URL.create("postgresql+psycopg", OWNER, host=LOOPBACK, port=self._port, database="postgres")
        if user is not None:
            os.chown(self.home, user.pw_uid, user.pw_gid)
            self._as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def start(self) -> None:
        """Start on the data of `home`, made the first time, and wait until it answers. Raises CannotBeHad."""
        data = str(self.home / "data")
        log = self.home / "postgres.log"
        if not Path(data).exists():
            self._make(data)
        settings = [f"listen_addresses={LOOPBACK}", f"unix_socket_directories={self.home}", *self._settings]
        words = ["-D", data, "-p", str(self._port), *(word for setting in settings for word in ("-c", setting))]
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [str(self._programs / "postgres"), *words],
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self._as_user,
            )
        process = self._process
        wait_until(lambda: process.poll() is not None or answers(self.url), within_s=START_S)
        if process.poll() is not None or not answers(self.url):
            self.kill()
            raise CannotBeHad(f"PostgreSQL did not start: {log.read_text()[-800:]}")

    def stop(self) -> None:
        """End the server as an operator would, sessions included, and wait for it; it is killed if that takes long."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def kill(self) -> None:
        """End the server and its children with SIGKILL, as a machine that loses power would, and wait for the end."""
        if self._process is not None:
            children = children_of(self._process.pid)
            self._process.kill()
            self._process.wait(STOP_S)
            self._process = None
            # PostgreSQL does not start anew while a child of its former life holds the shared memory
            wait_until(lambda: not any(is_alive(child) for child in children), within_s=STOP_S)

    def remove(self) -> None:
        """Kill the server, if it runs, and remove its data."""
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)

    def _make(self, data: str) -> None:
        words = ["-D", data, "-U", OWNER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        made = subprocess.run(
            [str(self._programs / "initdb"), *words],
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=START_S,
            **self._as_user,
        )
        if made.returncode != 0:
            raise CannotBeHad(f"initdb ended with {made.returncode}: {made.stderr.strip()[-500:]}")


class PostgresContainer:
    """The same from the official image, where a Docker engine answers."""

    def __init__(self) -> None:
        (port,) = free_ports(1)
        self.url = URL.create("postgresql+psycopg", OWNER, host=LOOPBACK, port=port, database="postgres")
        self._container = Container(
            image=IMAGE,
            ports={port: 5432},
            environment={"POSTGRES_USER": OWNER, "POSTGRES_DB": "postgres", "POSTGRES_HOST_AUTH_METHOD": "trust"},
            command=["postgres", *(f"-c{q}" for q in QUICK)],
        )

    def start(self) -> None:
        """Start the container and wait until PostgreSQL answers on TCP. Raises CannotBeHad."""
        self._container.start()
        if not wait_until(lambda: answers(self.url), within_s=START_S):
            self.remove()
            raise CannotBeHad(f"PostgreSQL in Docker did not answer within {START_S:g} s")

    def remove(self) -> None:
        """Remove the container with its data."""
        self._container.stop()


def driver_address(url: URL) -> str:
    """Write the address as psycopg itself reads it."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def answers(url: URL) -> bool:
    """Whether a PostgreSQL answers a query at this address within two seconds."""
    try:
        with psycopg.connect(driver_address(url), connect_timeout=2) as connection:
            return connection.execute("select 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def children_of(process_id: int) -> list[int]:
    """The processes that a process has started and that still live; none where there is no /proc."""
    told = Path(f"/proc/{process_id}/task/{process_id}/children")
    return [int(child) for child in told.read_text().split()] if told.exists() else []


def is_alive(process_id: int) -> bool:
    """Whether a process still runs; one that has ended and waits to be collected does not."""
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


class Databases:
    """Makes and drops databases of one server, each empty when it is handed out."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url).set(drivername="postgresql+psycopg")
        self._made = 0

    def create(self) -> str:
        """Make an empty database and give its SQLAlchemy address."""
        self._made += 1
        name = f"emberwatch_test_{os.getpid()}_{self._made}"
        self.drop(name)
        self._say(f'create database "{name}"')
        return self._url.set(database=name).render_as_string(hide_password=False)

    def drop(self, name: str) -> None:
        """Drop a database, and whoever is still connected to it."""
        self._say(f'drop database if exists "{name}" with (force)')

    def _say(self, command: str) -> None:
        with psycopg.connect(driver_address(self._url), autocommit=True, connect_timeout=10) as connection:
            connection.execute(command)
