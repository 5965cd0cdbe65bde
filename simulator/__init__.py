"""A local exchange that speaks MEXC's wire. May import trading only."""
