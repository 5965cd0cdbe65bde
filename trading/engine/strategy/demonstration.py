"""The demonstration profile: parameters that trade where `spread_capture` should not. Imports nothing.

Shown in the README for the sample recording, whose median spread is 0.0016 bps: with it the machine can be watched
at work (orders, moves, fills, stops) on real input. It switches the edge filter off and it loses money; never use it to
earn any.
"""

from __future__ import annotations

DEMONSTRATION: tuple[tuple[str, str], ...] = (
    ("min_edge_bps", "-10"),
    ("min_spread_bps", "0"),
    ("min_imbalance", "0"),
    ("order_quote", "20"),
    ("warmup_s", "0.5"),
    ("entry_linger_s", "0.3"),
    ("entry_max_age_s", "0.4"),
    ("min_hold_ms", "100"),
    ("patience_s", "0.2"),
    ("stop_loss_bps", "2"),
    ("timeout_s", "2"),
    ("cooldown_s", "0.1"),
    ("loss_cooldown_s", "0.1"),
    ("loss_streak", "0"),
    ("requote_min_age_ms", "100"),
    ("requote_min_bps", "0.02"),
    ("risk_order_ops_per_s", "8"),
    ("risk_order_ops_burst", "20"),
    ("risk_loss_streak", "0"),
)
"""(name, text) pairs for `--set`."""
