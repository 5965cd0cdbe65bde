"""Depth frames to decode: made here, seeded, thin or fat; or those of a recording. May import trading."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random

import orjson

from bench.figures import CannotRunError
from bench.report import ROOT
from trading.adapters.mexc.proto import mexc_push_pb2 as pb
from trading.adapters.mexc.rest_codec import snapshot_of
from trading.adapters.mexc.topics import depth_topic, is_depth
from trading.adapters.recording.rows import REST_DEPTH, Row
from trading.model.instrument import Instrument
from trading.model.market import BookSnapshot

SAMPLE = ROOT.parent / "shared" / "data" / "binance_spot_btcusdt_20240808.jsonl.gz"
NOW_NS = 1_790_000_000_000_000_000
FIRST_VERSION = 83_000_000_000
MID_TICKS = 6_425_000
LEVELS = 500
DELETED_SHARE = 0.3

INSTRUMENT = Instrument(
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.000001"),
    min_qty=Decimal(0),
    min_notional=Decimal(1),
    max_notional=Decimal(0),
    maker_fee_rate=Decimal(0),
    taker_fee_rate=Decimal("0.0005"),
)


@dataclass(frozen=True, slots=True)
class FrameSet:
    """A book to begin with and the frames that change it, an unbroken chain of versions.

    levels: mean number of levels a frame; size: mean bytes a frame.
    """

    instrument: Instrument
    snapshot: BookSnapshot
    frames: tuple[bytes, ...]
    levels: float

    @property
    def size(self) -> float:
        """Mean bytes of a frame."""
        return sum(map(len, self.frames)) / len(self.frames)

    @property
    def note(self) -> str:
        """What the frames are like, for a figure's note."""
        return f"{len(self.frames)} frames of {self.size:.0f} B with {self.levels:.1f} levels on average"


def generated(count: int, levels: tuple[int, ...], seed: int = 1) -> FrameSet:
    """Make frames around a price that does not move, so that the book never crosses.

    levels: how many levels a frame changes, drawn from these; most changes lie near the best prices, and three of ten
    delete a level. Values read as the venue writes them: a price of two, a quantity of six decimals.
    """
    draw = Random(f"depth:{seed}:{levels}")
    frames, changes = [], 0
    for number in range(count):
        version = FIRST_VERSION + 1 + number
        frame = pb.PushDataV3ApiWrapper(
            channel=depth_topic(INSTRUMENT.symbol, "100ms"),
            symbol=INSTRUMENT.symbol,
            sendTime=NOW_NS // 1_000_000 + 100 * number,
        )
        body = frame.publicAggreDepths
        body.eventType = "spot@public.aggre.depth.v3.api.pb@100ms"
        body.fromVersion = body.toVersion = str(version)
        for _ in range(draw.choice(levels)):
            distance = 1 + min(LEVELS - 1, int(draw.expovariate(1 / 40)))
            is_bid = draw.random() < 0.5
            price = MID_TICKS - distance if is_bid else MID_TICKS + distance
            lots = 0 if draw.random() < DELETED_SHARE else draw.randint(1, 2_000_000)
            side = body.bids if is_bid else body.asks
            side.add(price=INSTRUMENT.price_text(price), quantity=INSTRUMENT.qty_text(lots) if lots else "0")
            changes += 1
        frames.append(frame.SerializeToString())
    full = range(1, LEVELS + 1)
    snapshot = BookSnapshot(
        INSTRUMENT.symbol,
        FIRST_VERSION,
        tuple((MID_TICKS - distance, draw.randint(1, 2_000_000)) for distance in full),
        tuple((MID_TICKS + distance, draw.randint(1, 2_000_000)) for distance in full),
        NOW_NS,
        NOW_NS,
    )
    return FrameSet(INSTRUMENT, snapshot, tuple(frames), changes / count)


def sample_path() -> Path:
    """Return the recorded market: `MEXCBOT_SAMPLE`, or the file beside the checkout. Raises: CannotRunError."""
    path = Path(os.environ.get("MEXCBOT_SAMPLE") or SAMPLE)
    if not path.is_file():
        raise CannotRunError("no sample recording: set MEXCBOT_SAMPLE to a *.jsonl.gz recording")
    return path


def recorded(rows: Iterator[Row], instrument: Instrument) -> FrameSet:
    """Take the frames of a recording from its first snapshot that they continue. Raises: CannotRunError."""
    snapshot: BookSnapshot | None = None
    frames: list[tuple[int, int, bytes]] = []
    for row in rows:
        if row.stream == REST_DEPTH and snapshot is None:
            snapshot = snapshot_of(orjson.loads(row.payload), instrument, row.recv_ts_ns)
        elif not row.stream.startswith(("rest:", "event:")) and is_depth(row.stream):
            body = pb.PushDataV3ApiWrapper.FromString(row.payload).publicAggreDepths
            frames.append((int(body.toVersion), len(body.bids) + len(body.asks), row.payload))
    if snapshot is None:
        raise CannotRunError("the recording holds no snapshot")
    kept = [item for item in frames if item[0] > snapshot.version]
    if not kept:
        raise CannotRunError("no depth frame of the recording is newer than its snapshot")
    changes = sum(count for _, count, _ in kept)
    return FrameSet(instrument, snapshot, tuple(payload for _, _, payload in kept), changes / len(kept))
