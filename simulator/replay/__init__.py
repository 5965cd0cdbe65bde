"""Replay: a recorded market instead of a generated one; own orders trade by the paper model.

May import simulator, trading.
"""
