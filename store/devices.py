"""Where each accelerator was seen last, over all partitions: an accelerator may change its owner and its partition."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import ColumnElement, Connection, func, select

from store import tables
from store.database import Part
from store.facts import DeviceRow
from store.upsert import Columns, table_of, upsert

DEVICES = table_of(tables.Device).c


def _newer(new: Columns, old: Columns) -> ColumnElement[bool]:
    """The later sight stands."""
    newer: ColumnElement[bool] = new.at > old.at
    return newer


class Heard(Struct, frozen=True, kw_only=True):
    """How many accelerators were seen, and when the latest of them; None where there are none."""

    devices: int
    latest_at: datetime | None


def write_devices(connection: Connection, rows: Iterable[DeviceRow]) -> None:
    """Set each accelerator's owner; a sighting that is no newer than the one that is kept changes nothing."""
    upsert(connection, tables.Device, map(asdict, rows), guard=_newer)


class DevicesPart(Part):
    """Reads where accelerators were seen."""

    def devices(self, names: Sequence[str]) -> list[DeviceRow]:
        """Return those of these accelerators that were ever seen, in order of name."""
        query = select(table_of(tables.Device)).where(DEVICES.device.in_(names)).order_by(DEVICES.device)
        with self._database.reading() as connection:
            return [DeviceRow(**row) for row in connection.execute(query).mappings()]

    def devices_of(self, workload: str, since: datetime) -> Heard:
        """Count the accelerators whose latest owner is the workload, seen at `since` or later."""
        return self._heard(DEVICES.workload == workload, DEVICES.at >= since)

    def devices_beside(self, workload: str, since: datetime) -> Heard:
        """Count the accelerators of the same cluster with other owners, seen at `since` or later."""
        cluster = workload.partition("/")[0] + "/"
        same = func.substr(DEVICES.workload, 1, len(cluster)) == cluster
        return self._heard(same, DEVICES.workload != workload, DEVICES.at >= since)

    def _heard(self, *conditions: ColumnElement[bool]) -> Heard:
        query = select(func.count(), func.max(DEVICES.at)).where(*conditions)
        with self._database.reading() as connection:
            number, latest_at = connection.execute(query).one()
        return Heard(devices=number, latest_at=latest_at)
