"""Benchmarks: measured beside their peers in one run. May import anything; nothing imports it."""
