"""Searching parameters honestly: what to try, how to split time, and whether the best is more than luck. Pure."""
