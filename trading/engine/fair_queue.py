"""Requests that wait for tokens: cancels, then what reduces, then what opens; by turns among symbols within each.

Pure. May import `trading.engine.budget`.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

from trading.engine.budget import Priority

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Requests that wait for tokens. Within a priority the symbols take turns, and each keeps its own order."""

    def __init__(self) -> None:
        self._lines: tuple[OrderedDict[str, deque[T]], ...] = tuple(OrderedDict() for _ in Priority)
        self._size = 0
        self.high_water = 0

    def __len__(self) -> int:
        return self._size

    def waiting(self, priority: Priority) -> int:
        """Count what waits at one priority."""
        line = self._lines[priority]
        return sum(map(len, line.values())) if line else 0

    def first(self) -> Priority | None:
        """Return the priority of what is next; None when nothing waits."""
        return next((priority for priority in Priority if self._lines[priority]), None)

    def push(self, priority: Priority, symbol: str, item: T) -> None:
        """Append an item to its symbol's line."""
        self._lines[priority].setdefault(symbol, deque()).append(item)
        self._size += 1
        self.high_water = max(self.high_water, self._size)

    def push_front(self, priority: Priority, symbol: str, item: T) -> None:
        """Put back an item that was popped and could not be served: it is the next of its priority again."""
        line = self._lines[priority]
        line.setdefault(symbol, deque()).appendleft(item)
        line.move_to_end(symbol, last=False)
        self._size += 1

    def pop(self, last: Priority = Priority.OPEN) -> T | None:
        """Take the next item of the priorities up to `last`; its symbol goes to the end of the round. None: no item."""
        for line in self._lines[: last + 1]:
            if line:
                symbol, items = line.popitem(last=False)
                item = items.popleft()
                if items:
                    line[symbol] = items
                self._size -= 1
                return item
        return None

    def take_out(self, is_over: Callable[[T], bool]) -> list[T]:
        """Take out the items of which that is true; all others keep their turns."""
        taken: list[T] = []
        for line in self._lines:
            for symbol, items in tuple(line.items()):
                over = [item for item in items if is_over(item)]
                for item in over:
                    items.remove(item)
                if not items:
                    del line[symbol]
                taken += over
        self._size -= len(taken)
        return taken
