"""The transcripts of docs/backtest.md are what the commands print."""

import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("transcripts", ROOT / "docs" / "examples" / "transcripts.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_each_transcript_is_what_its_command_prints():
    page = (ROOT / "docs" / "backtest.md").read_text(encoding="utf-8")

    assert script().renewed(page) == page
