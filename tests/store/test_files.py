"""The database's file and folder are for its owner's eyes only."""

from pathlib import Path
from stat import S_IMODE

from store.store import Store


def test_a_new_file_and_folder_are_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "emberwatch.db"

    Store.open(f"sqlite:///{path}").close()

    assert (S_IMODE(path.parent.stat().st_mode), S_IMODE(path.stat().st_mode)) == (0o700, 0o600)


def test_a_folder_that_is_there_keeps_its_permissions(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    Store.open(f"sqlite:///{tmp_path / 'emberwatch.db'}").close()

    assert S_IMODE(tmp_path.stat().st_mode) == 0o755
