"""Series: what a metric with its labels stands for. Found out once, and looked up by its bytes from then on."""

from collections.abc import Mapping
from hashlib import blake2b

from streams.formats import owners
from streams.formats.aliases import RANKS, Alias, Slot, Unit, kind_of, most_of, plain, scale_of, table
from streams.formats.owners import Who

GAUGE, CUMULATIVE, DELTA = range(3)
MOST_LABELS = 128
MOST_LABEL_BYTES = 4096
MOST_WHO = 20_000  # sets of labels that are remembered
TYPES = {"input": Slot.INPUT, "prompt": Slot.INPUT, "output": Slot.OUTPUT, "completion": Slot.OUTPUT}


class Series:
    """One metric of one accelerator or server."""

    __slots__ = (
        "blanks", "counter", "instance", "is_plain", "key", "most", "rank", "reason", "scale", "slot", "text",
        "thing", "who",
    )  # fmt: skip

    def __init__(
        self, who: Who, alias: Alias, slot: Slot, counter: int, scale: float, key: str, instance: str, text: str
    ) -> None:
        """`key` tells a counter from others of the same thing. `instance`: whose values tell the unit, else ""."""
        self.who, self.slot, self.counter, self.scale, self.key = who, int(slot), counter, scale, key
        self.most, self.blanks, self.text = most_of(alias.unit), alias.unit, text
        self.rank, self.instance = RANKS.get(alias.system, 0), instance
        self.reason, self.thing = "", who.thing
        self.is_plain = counter == GAUGE and slot is not Slot.INFO and not instance


class Unusable(Series):
    """A series of a known metric that can't be used, and why."""

    __slots__ = ()

    def __init__(self, reason: str, text: str) -> None:
        """`text` is what to show of it."""
        self.reason, self.text, self.is_plain = reason, text, False


class Names:
    """Which metrics are known, by name, unit and temporality."""

    def __init__(self, cluster: str) -> None:
        """`cluster`: where a series does not say one."""
        self.cluster = cluster
        self._whose: dict[tuple[object, ...], Who] = {}
        self._known = table()

    def aliases(self, name: str) -> tuple[Alias, ...]:
        """What a metric of this name may be; nothing where it is of no interest."""
        return self._known.get(plain(name), ()) if len(name) <= 256 else ()

    def series(
        self, name: str, unit: str, counter: int, labels: Mapping[str, str], resource: Mapping[str, str]
    ) -> Series | None:
        """What it stands for; None where that is of no interest."""
        text = f"{name}{{{', '.join(f'{key}={value}' for key, value in list(labels.items())[:16])}}}"[:512]
        fault = faulty(labels) or faulty(resource)
        if fault is not None:
            return Unusable(fault, text)
        for alias in self.aliases(name):
            if alias.only is None or owners.matches(labels, alias.only):
                return self._series(name, unit, counter, labels, resource, alias, text)
        return None

    def _who(self, labels: Mapping[str, str], resource: Mapping[str, str], system: str, is_accelerator: bool) -> Who:
        """The same for all metrics with the same labels. Raises Unattributable."""
        key = (system, is_accelerator, tuple(labels.items()), tuple(resource.items()))
        who = self._whose.get(key)
        if who is None:
            find = owners.accelerator if is_accelerator else owners.server
            who = find(labels, resource, system, self.cluster)
            if len(self._whose) >= MOST_WHO:
                self._whose.clear()
            self._whose[key] = who
        return who

    def _series(
        self,
        name: str,
        unit: str,
        counter: int,
        labels: Mapping[str, str],
        resource: Mapping[str, str],
        alias: Alias,
        text: str,
    ) -> Series | None:
        slot = alias.slot
        if slot in (Slot.BY_TYPE, Slot.EVENTS_BY_TYPE):
            typed = next((TYPES.get(value) for key, value in labels.items() if plain(key) == "gen_ai_token_type"), None)
            if typed is None or (slot is Slot.EVENTS_BY_TYPE and typed is not Slot.INPUT):
                return None
            slot = typed if slot is Slot.BY_TYPE else Slot.INPUT_EVENTS
        try:
            who = self._who(labels, resource, alias.system, slot <= Slot.INFO)
        except owners.Unattributable as error:
            return Unusable(str(error), text)
        if alias.counter and counter == GAUGE:
            counter = CUMULATIVE  # formats that can't tell a counter from a gauge
        elif not alias.counter:
            counter = GAUGE
        key = "" if counter == GAUGE else _digest(plain(name), labels, resource)
        ambiguous = alias.unit is Unit.RATIO_OR_PERCENT and unit not in ("%", "1")
        instance = f"{plain(name)}|{who.node or who.thing}" if ambiguous else ""
        return Series(who, alias, slot, counter, scale_of(alias.unit, unit), key, instance, text)


def _digest(name: str, labels: Mapping[str, str], resource: Mapping[str, str]) -> str:
    known = repr((name, sorted(labels.items()), sorted(resource.items())))
    return blake2b(known.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def faulty(labels: Mapping[str, str]) -> str | None:
    """What is wrong with labels, whatever they say."""
    if len(labels) > MOST_LABELS:
        return f"{len(labels)} labels, the limit is {MOST_LABELS}"
    longest = max(map(len, labels.values()), default=0)
    if longest > MOST_LABEL_BYTES:
        return f"a label of {longest} characters, the limit is {MOST_LABEL_BYTES}"
    return None


def is_ratio(series: Series) -> bool:
    """Whether its values are kept as a ratio."""
    return kind_of(series.blanks) is Unit.RATIO
