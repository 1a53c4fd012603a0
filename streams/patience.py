"""Waiting for a store that is away, and saying so: what is asked of it is asked until it answers."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from store.errors import StoreUnavailable
from streams.back_pressure import BackPressure

T = TypeVar("T")
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 15.0


class Patience:
    """Tries again, at growing intervals."""

    def __init__(self, pressure: BackPressure) -> None:
        """`pressure` says why input waits meanwhile."""
        self.pressure = pressure

    async def ask(self, question: Callable[..., T], *given: object) -> T:
        """The answer of a store's function, in a thread; returns when there is one."""
        wait_s = FIRST_WAIT_S
        while True:
            try:
                answer = await asyncio.to_thread(question, *given)
            except StoreUnavailable as error:
                wait_s = await self.wait(error, "ask", wait_s)
            else:
                self.pressure.back("ask")
                return answer

    async def wait(self, error: StoreUnavailable, doing: str, wait_s: float) -> float:
        """Say why, and wait; returns how long to wait the next time."""
        self.pressure.away(error, doing)
        await asyncio.sleep(wait_s)
        return min(wait_s * 2, LONGEST_WAIT_S)
