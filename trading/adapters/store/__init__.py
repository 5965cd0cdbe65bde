"""The journal: Postgres. May import trading.engine and trading.model, never the venue."""
