"""The lock files say exactly what is installed, with hashes, and from nowhere in particular."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUNTIME, DEV = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"


def pins(path: Path) -> dict[str, tuple[str, int]]:
    """The version of each requirement and how many hashes it has."""
    found: dict[str, tuple[str, int]] = {}
    for block in re.split(r"\n(?=[a-z0-9])", path.read_text()):
        named = re.match(r"([a-z0-9-]+)==(\S+)", block)
        if named:
            found[named[1]] = (named[2], len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", block)))
    return found


def wanted(*extras: str) -> list[Requirement]:
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("path", [RUNTIME, DEV], ids=["runtime", "dev"])
def test_each_pin_has_a_hash(path: Path):
    assert len(pins(path)) > 50
    assert [name for name, (_, hashes) in pins(path).items() if hashes == 0] == []


@pytest.mark.parametrize("path", [RUNTIME, DEV], ids=["runtime", "dev"])
def test_a_lock_file_names_no_place(path: Path):
    assert re.findall(r"\S*://\S*|^--(?:index|extra-index|find-links).*", path.read_text(), re.MULTILINE) == []


@pytest.mark.parametrize(("path", "extras"), [(RUNTIME, ["build"]), (DEV, ["build", "dev"])], ids=["runtime", "dev"])
def test_the_lock_file_meets_what_the_project_asks_for(path: Path, extras: list[str]):
    locked = pins(path)
    unmet = [
        str(requirement)
        for requirement in wanted(*extras)
        if not requirement.specifier.contains(locked[re.sub(r"[._]", "-", requirement.name).lower()][0])
    ]

    assert unmet == []


def test_tests_run_on_what_the_service_runs_on():
    runtime, dev = pins(RUNTIME), pins(DEV)

    assert {name: version for name, (version, _) in dev.items() if name in runtime} == {
        name: version for name, (version, _) in runtime.items()
    }


def test_the_project_is_not_for_upload():
    assert PROJECT["name"] == "emberwatch"
    assert "Private :: Do Not Upload" in PROJECT["classifiers"]
