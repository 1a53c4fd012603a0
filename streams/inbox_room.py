"""The room in the inbox: how much may wait unread before senders are told to slow down."""

from threading import Lock

from streams.intake import IntakeFull

MOST_UNREAD = 1_000_000  # messages
MOST_UNREAD_BYTES = 1024**3
RETRY_AFTER_S = 5


class InboxRoom:
    """Counts what waits unread. Safe to use from any thread."""

    def __init__(self, most: int = MOST_UNREAD, most_bytes: int = MOST_UNREAD_BYTES) -> None:
        """At most `most` messages and `most_bytes` bytes wait; an empty inbox takes any one request."""
        self.most, self.most_bytes = most, most_bytes
        self.messages = self.bytes = 0
        self.changes = 0
        self._lock = Lock()

    def take(self, messages: int, size_bytes: int) -> None:
        """Reserve room before writing. Raises IntakeFull where there is none."""
        with self._lock:
            full = self.messages + messages > self.most or self.bytes + size_bytes > self.most_bytes
            if self.messages and full:
                raise IntakeFull(
                    f"{self.messages} messages of {self.bytes} bytes wait to be read; slow down and send again later",
                    retry_after_s=RETRY_AFTER_S,
                )
            self._change(messages, size_bytes)

    def free(self, messages: int, size_bytes: int) -> None:
        """What was reserved was read, or not written after all."""
        with self._lock:
            self._change(-messages, -size_bytes)

    def found(self, messages: int, size_bytes: int, at_change: int) -> None:
        """So much waits in truth, if nothing has changed since `changes` was this."""
        with self._lock:
            if self.changes == at_change:
                self.messages, self.bytes = messages, size_bytes

    def _change(self, messages: int, size_bytes: int) -> None:
        self.changes += 1
        self.messages = max(0, self.messages + messages)
        self.bytes = max(0, self.bytes + size_bytes)
