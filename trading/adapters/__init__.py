"""I/O behind the engine's ports: the venue, the store, clocks, settings. May import trading.engine and trading.model."""
