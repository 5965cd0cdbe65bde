"""What playing a recording asks of the process beside the events."""

from __future__ import annotations

import gc
from contextlib import suppress

from trading.adapters.recording.events import COLLECT_AFTER, collected_seldom


def test_cycles_are_looked_for_seldom_while_events_are_played_and_as_before_afterwards() -> None:
    before = gc.get_threshold()

    with suppress(ZeroDivisionError), collected_seldom():
        assert gc.get_threshold() == (COLLECT_AFTER, *before[1:])
        raise ZeroDivisionError

    assert gc.get_threshold() == before
    assert gc.isenabled()
