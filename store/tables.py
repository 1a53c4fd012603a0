"""All tables, by name: whoever imports this knows the whole schema. Columns are named as the structs' fields are."""

from store.schema.incidents import Action, ActionStep, Incident, Outbox, WouldStop
from store.schema.money import Change, Charge, Forecast, Ledger
from store.schema.progress import Cold, Gap, Offset, Progress, SnapshotPart, TopicId
from store.schema.rejects import PartitionStop, Reject, RejectCount, Replayed
from store.schema.row import Row
from store.schema.service import DutyMark, Inbox, Lease, Switch
from store.schema.talk import Audit, Press, Silence
from store.schema.workloads import Device, Status, Workload

__all__ = [
    "Action",
    "ActionStep",
    "Audit",
    "Change",
    "Charge",
    "Cold",
    "Device",
    "DutyMark",
    "Forecast",
    "Gap",
    "Inbox",
    "Incident",
    "Lease",
    "Ledger",
    "Offset",
    "Outbox",
    "PartitionStop",
    "Press",
    "Progress",
    "Reject",
    "RejectCount",
    "Replayed",
    "Row",
    "Silence",
    "SnapshotPart",
    "Status",
    "Switch",
    "TopicId",
    "Workload",
    "WouldStop",
]
