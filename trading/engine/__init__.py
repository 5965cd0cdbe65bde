"""The decisions: synchronous and clock-free. Imports trading.model only, and no I/O."""
