"""The shadow twin of one symbol: how far paper is from live. May import `api.schemas` and the dashboard. Pure."""

from __future__ import annotations

from api.schemas import TwinBody
from dashboard.figures import NOTHING, duration
from dashboard.markup import Column, Html, section, table, tag

COLUMNS = (
    Column("Side"),
    Column("Fill rate", True, hint="share of the mirrored lots that filled"),
    Column("Orders filled", True),
    Column("Time to fill", True, hint="mean to the first fill, of the orders that every side filled"),
    Column("Markout 1 s", True, hint="mean move of the mid in our favour a second after a fill"),
)


def twin_html(twin: TwinBody) -> Html:
    """Render the same orders on each side, and what live orders say of the venue's queue."""
    sides = (("live", twin.live), ("pessimistic", twin.pessimistic), ("probabilistic", twin.probabilistic))
    rows = [
        (
            name,
            f"{side.fill_rate:.1%}" if twin.orders else NOTHING,
            f"{side.filled_orders:,}",
            NOTHING if side.time_to_fill_ms is None else duration(side.time_to_fill_ms / 1e3),
            NOTHING if side.markout_bps is None else f"{side.markout_bps:+.2f} bps ({side.markouts:,})",
        )
        for name, side in sides
        if side is not None
    ]
    said = f"{twin.orders:,} resting orders that are over, mirrored under each queue model"
    if twin.live is not None:
        said += f". {_queue(twin)}"
    return section("Shadow twin", tag("p", said, "mx-small"), table(COLUMNS, rows, "Not told yet.", "Shadow twin"))


def _queue(twin: TwinBody) -> str:
    queue = twin.queue
    if queue.power is None or queue.low is None or queue.high is None:
        return f"{queue.telling:,} of them tell one queue from another: too few to say which is the venue's"
    return (
        f"The venue's queue is like n = {queue.power:g} (95 %: {queue.low:g} to {queue.high:g}), by {queue.telling:,} "
        "of them: replay --queue-power plays it"
    )
