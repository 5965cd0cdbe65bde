"""MEXC spot: wire schema, codec, sockets, REST and gateway. May import: trading.model, trading.engine, I/O libraries.

Knows nothing of `trading.adapters.store`. The pure parts (`signing`, `proto`) are shared with the simulator.
"""
