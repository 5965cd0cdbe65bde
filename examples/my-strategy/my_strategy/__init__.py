"""A strategy for mexcbot."""
