"""Floor 1: decisions. Synchronous, clock-free, seeded; told `now_ns`.

Imports `trading.model` and the standard library, and nothing that does I/O.
"""
