"""Where the config gets what does not stand in it: the environment and files. The only place that reads them."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import SecretStr

from console.settings_yaml import ReferenceFault

MAX_SECRET_BYTES = 64 * 1024
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_PATH = re.compile(r"\.{0,2}/[\w./ -]*")  # what is surely meant as a path, and so may be shown


class Note(NamedTuple):
    """A fault met while secrets were read: in which mapping, at which option."""

    container: Any
    option: str
    got: str
    meant: str


class Sources:
    """The environment, the folder that relative paths start from, and what was noted on the way."""

    def __init__(self, folder: Path | None = None, environ: Mapping[str, str] | None = None) -> None:
        """Read from this environment, and relative paths from this folder (the current one by default)."""
        self.folder = folder or Path()
        self.environ = os.environ if environ is None else environ
        self.notes: list[Note] = []
        self.revealed: set[str] = set()  # every value that was looked up: none of them may be shown
        self.models: dict[int, type[Any]] = {}  # id of a mapping of the file -> the model that read it

    def note(self, container: Any, option: str, got: str, meant: str) -> None:
        """Remember a fault, and go on."""
        self.notes.append(Note(container, option, got, meant))

    def resolve(self, reference: str) -> str:
        """The value of `env:NAME` or `file:PATH`. Raises ReferenceFault, which never shows a value."""
        value = self._look_up(reference)
        self.revealed.add(value)
        return value

    def read_secret_file(self, container: Any, option: str, path: str) -> SecretStr:
        """The secret in a file; where it can't be read that is noted, and the secret is empty."""
        name = (
            repr(path)
            if _PATH.fullmatch(path)
            else "a name that is no path from / or ./ (not shown: it may be the secret)"
        )
        try:
            value = self._read(path, name)
        except ReferenceFault as fault:
            self.note(container, option, str(fault), "a file that holds the secret and nothing else")
            return SecretStr("")
        self.revealed.add(value)
        return SecretStr(value)

    def _look_up(self, reference: str) -> str:
        kind, _, target = reference.partition(":")
        if kind == "env" and target:
            value = self.environ.get(target, "")
            if not value:
                name = target if _VARIABLE.fullmatch(target) else "..."
                raise ReferenceFault(f"${{env:{name}}}, an environment variable that is not set or empty")
            return value
        if kind == "file" and target:
            return self._read(target, f"${{file:{target}}}")
        raise ReferenceFault("a reference of an unknown form; ${env:NAME} and ${file:PATH} are known")

    def _read(self, path: str, name: str) -> str:
        try:
            with (self.folder / path).open("rb") as file:
                raw = file.read(MAX_SECRET_BYTES + 1)
            text = raw.decode("utf-8").strip()
        except FileNotFoundError:
            raise ReferenceFault(f"{name}, a file that does not exist") from None
        except OSError as error:
            raise ReferenceFault(f"{name}, a file that can't be read ({error.strerror or 'error'})") from None
        except ValueError:
            raise ReferenceFault(f"{name}, a file that is not text in UTF-8") from None
        if not text:
            raise ReferenceFault(f"{name}, a file that is empty")
        if len(raw) > MAX_SECRET_BYTES:
            raise ReferenceFault(f"{name}, a file of more than {MAX_SECRET_BYTES} bytes")
        return text
