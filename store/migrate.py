"""Bringing a database's schema up to date, or refusing one that this version does not know."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from store.errors import StoreError
from store.failpoints import Point, reach
from store.tables import Row

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_KEY = 0x656D6265  # held on PostgreSQL while one process migrates


def migrate(connection: Connection) -> None:
    """Upgrade to the newest schema within the caller's transaction. Raises StoreError for one that is not ours."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    newest = scripts.get_current_head()
    present = MigrationContext.configure(connection).get_current_heads()
    if present == (newest,):
        return
    known = {script.revision for script in scripts.walk_revisions()}
    unknown = sorted(set(present) - known)
    if unknown:
        raise StoreError(
            f"the database has schema version {', '.join(unknown)}, and this version knows none after {newest}; "
            "start the version that wrote it, or restore the backup made before it was upgraded"
        )
    foreign = sorted(set(inspect(connection).get_table_names()) & set(Row.metadata.tables))
    if not present and foreign:
        raise StoreError(
            f"the database already has a table {foreign[0]} but no schema version; give the store an empty database"
        )
    command.upgrade(config, "head")
    reach(Point.IN_MIGRATION)
