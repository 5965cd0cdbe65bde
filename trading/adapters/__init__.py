"""I/O behind the ports: the venue, the store, clocks, settings. May import trading.engine and trading.model."""
