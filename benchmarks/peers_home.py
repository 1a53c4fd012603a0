"""The peers' own virtual environment: made the first time, and again when its list changes."""

import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
LIST = FOLDER / "peers.txt"
HOME = FOLDER / ".peers"
INSTALL_S = 600.0


def peers_python() -> Path:
    """The Python that has the peers. Raises CalledProcessError where they can't be installed."""
    python, mark = HOME / "bin" / "python", HOME / "installed.txt"
    if not mark.is_file() or mark.read_bytes() != LIST.read_bytes():
        print("installing the peers (a minute, once)", flush=True)
        shutil.rmtree(HOME, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(HOME)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        subprocess.run([*install, "--requirement", str(LIST)], check=True, timeout=INSTALL_S)
        mark.write_bytes(LIST.read_bytes())
    return python
