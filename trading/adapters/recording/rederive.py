"""Derives the decisions of a recorded session again, and compares. May import `trading.model`, `trading.engine`, rows.

Frames are decoded anew, the recorded inputs are put through a fresh engine with their recorded times, and every intent
it makes is held against the one that was recorded then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

from trading.adapters.mexc.codec import PublicCodec
from trading.adapters.recording.plain_values import loads
from trading.adapters.recording.recorded_engine import (
    ENGINE_EVENT,
    ENGINE_INTENT,
    ENGINE_START,
    ENGINE_STEP,
    FROM_FRAMES,
    NOW,
)
from trading.adapters.recording.rows import Row
from trading.adapters.recording.segments import OPEN_SUFFIX, SEGMENT_SUFFIX, SegmentReader
from trading.engine.bootstrap import SymbolBootstrap, SymbolConfig
from trading.engine.engine import SymbolEngine
from trading.engine.messages import EngineEvent, PlaceOrder
from trading.model.errors import ConfigError, DecodeError
from trading.model.orders import OrderIntent

PARQUET_SUFFIX = ".parquet"
EVENTS = get_args(EngineEvent)
NOT_RECORDED = "(not recorded)"


@dataclass(frozen=True, slots=True)
class Derived:
    """One intent of the recorded session, derived again.

    Attributes:
        now_ns: of its step. steps: engine steps since the life began. trigger: kind of the event that led to it.
        recorded: the derived one again where the recording holds none.
        derived: None when the fresh engine did not want it. differences: (field, recorded, derived); empty when equal.
        params: all parameter values at that step.
    """

    recorded: OrderIntent
    derived: OrderIntent | None
    now_ns: int
    steps: int
    trigger: str
    config: SymbolConfig
    params: tuple[tuple[str, str], ...]
    differences: tuple[tuple[str, str, str], ...]

    @property
    def is_equal(self) -> bool:
        """True when the decision was the same in every field."""
        return self.derived is not None and not self.differences


def rederive(rows: Iterable[Row]) -> Iterator[Derived]:
    """Put the rows of one or several lives of a symbol's engine through fresh engines; yield each recorded intent.

    Raises: DecodeError when the rows are not whole (a step without its frame): nothing after that can be vouched for.
    """
    life: _Life | None = None
    for row in rows:
        if row.stream == ENGINE_START:
            life = _Life(*_values(row, SymbolConfig, SymbolBootstrap))
        elif life is None:
            continue  # before the first whole life
        elif row.stream == ENGINE_STEP:
            yield from life.unrecorded()
            if len(row.payload) != NOW.size:
                raise _foreign(row)
            life.step_frame(NOW.unpack(row.payload)[0])
        elif row.stream == ENGINE_EVENT:
            yield from life.unrecorded()
            now_ns, event = _values(row, int, EVENTS)
            life.step(event, now_ns)
        elif row.stream == ENGINE_INTENT:
            yield _compared(life, row)
        elif row.stream.startswith("engine:"):
            raise DecodeError(f"the recording is not whole: this version knows no row {row.stream!r}")
        elif not row.stream.startswith(("rest:", "event:")):
            life.on_frame(row)


def _compared(life: _Life, row: Row) -> Derived:
    intent, steps = found if isinstance(found := loads(row.payload), tuple) and len(found) == 2 else (found, None)
    if not isinstance(intent, OrderIntent) or not isinstance(steps, int | None):
        raise _foreign(row)
    return life.compare(intent, steps)


def _values(row: Row, *kinds: type[Any] | tuple[type[Any], ...]) -> tuple[Any, ...]:
    """Read a row's values, one of each kind. Raises: DecodeError when it holds something else."""
    found = loads(row.payload)
    values = found if isinstance(found, tuple) else (found,)
    if len(values) != len(kinds) or not all(map(isinstance, values, kinds)):
        raise _foreign(row)
    return values


def _foreign(row: Row) -> DecodeError:
    return DecodeError(f"the recording is not whole: its row of {row.recv_ts_ns} is no {row.stream}")


class _Life:
    """One life of the engine, lived again."""

    def __init__(self, config: SymbolConfig, bootstrap: SymbolBootstrap) -> None:
        self.config = config
        self._engine = SymbolEngine(self.config, bootstrap)
        self._codec = PublicCodec(self.config.instrument)
        self._events: deque[EngineEvent] = deque()
        self._intents: deque[OrderIntent] = deque()
        self._steps = 0
        self._now_ns = 0
        self._trigger = ""

    def on_frame(self, row: Row) -> None:
        self._events.clear()  # what is left of the frame before never reached the engine
        self._events.extend(
            item for item in self._codec.read(row.payload, row.recv_ts_ns) if isinstance(item, FROM_FRAMES)
        )

    def step_frame(self, now_ns: int) -> None:
        if not self._events:
            raise DecodeError(f"the recording is not whole: a step at {now_ns} has no frame")
        self.step(self._events.popleft(), now_ns)

    def step(self, event: EngineEvent, now_ns: int) -> None:
        self._intents.clear()
        self._steps += 1
        self._now_ns = now_ns
        self._trigger = type(event).__name__
        for action in self._engine.step(event, now_ns):
            if isinstance(action, PlaceOrder):
                self._intents.append(action.intent)

    def compare(self, recorded: OrderIntent, steps: int | None) -> Derived:
        if steps not in (None, self._steps):
            text = f"{steps} steps were taken before {recorded.client_order_id}, and it holds {self._steps}"
            raise DecodeError(f"the recording is not whole: {text}")
        derived = self._intents.popleft() if self._intents else None
        return self._found(recorded, derived, _differences(recorded, derived) if derived is not None else ())

    def unrecorded(self) -> Iterator[Derived]:
        """Give what the last step wanted, and the recording does not hold."""
        while self._intents:
            wanted = self._intents.popleft()
            yield self._found(wanted, wanted, (("intent", NOT_RECORDED, wanted.client_order_id),))

    def _found(
        self, recorded: OrderIntent, derived: OrderIntent | None, differences: tuple[tuple[str, str, str], ...]
    ) -> Derived:
        return Derived(
            recorded=recorded,
            derived=derived,
            now_ns=self._now_ns,
            steps=self._steps,
            trigger=self._trigger,
            config=self.config,
            params=self._engine.view().params,
            differences=differences,
        )


def _differences(recorded: OrderIntent, derived: OrderIntent) -> tuple[tuple[str, str, str], ...]:
    found = []
    for item in fields(OrderIntent):
        one, two = getattr(recorded, item.name), getattr(derived, item.name)
        if one == two:
            continue
        if item.name == "decision":
            first, second = dict(one), dict(two)
            names = list(dict.fromkeys((*first, *second)))
            found += [
                (name, first.get(name, ""), second.get(name, ""))
                for name in names
                if first.get(name) != second.get(name)
            ]
        else:
            found.append((item.name, str(one), str(two)))
    return tuple(found)


def session_rows(directory: Path, symbol: str, at_ns: int) -> Iterator[Row]:
    """Read the rows of the life of a symbol's engine that was running at `at_ns`: segments, open or sealed, in order.

    Raises: as `session_segments`.
    """
    for path in session_segments(directory, symbol, at_ns):
        yield from _rows(path)


def session_segments(directory: Path, symbol: str, at_ns: int) -> tuple[Path, ...]:
    """List the segments of the life of a symbol's engine that was running at `at_ns`, in order.

    Raises: ConfigError when the folder holds no recording of this symbol that began before.
    """
    lives: dict[str, dict[tuple[int, str], Path]] = {}
    # Sorted, so that a sealed file comes before the segment it was made of, which may stand beside it for a moment.
    for path in sorted(directory.glob("*")) if directory.is_dir() else ():
        stem = path.name.removesuffix(OPEN_SUFFIX).removesuffix(SEGMENT_SUFFIX).removesuffix(PARQUET_SUFFIX)
        head, *parts = stem.rsplit("-", 3)
        if stem == path.name or head != quote(symbol, safe="") or len(parts) != 3:
            continue
        begun, process, number = parts
        if begun.isdigit() and int(begun) <= at_ns:
            lives.setdefault(process, {}).setdefault((int(begun), number), path)
    if not lives:
        raise ConfigError(f"{directory} holds no recording of {symbol} from that time")
    # A life is one process: the one that began last before the moment, and all its segments up to it.
    segments = max(lives.values(), key=max)
    return tuple(path for _, path in sorted(segments.items()))


def _rows(path: Path) -> Iterator[Row]:
    sealed = path.with_name(path.name.removesuffix(OPEN_SUFFIX).removesuffix(SEGMENT_SUFFIX) + PARQUET_SUFFIX)
    if path.suffix == PARQUET_SUFFIX or (not path.exists() and sealed.exists()):  # sealed since it was listed
        from trading.adapters.recording.parquet import read_recording

        return read_recording(path if path.suffix == PARQUET_SUFFIX else sealed)
    return iter(SegmentReader(path))
