"""What may have been meant by a symbol's name that is not known. Pure; imports nothing of ours."""

from __future__ import annotations

import difflib
from collections.abc import Collection

SHOWN = 5


def nearest(symbol: str, known: Collection[str]) -> str:
    """Go on with "the venue has no symbol X": the name that is nearest to it, else the first of those that it has."""
    near = difflib.get_close_matches(symbol.upper(), known, n=1)
    some = ", ".join(list(known)[:SHOWN])
    return f": did you mean {near[0]}?" if near else f": it lists {some}{' …' if len(known) > SHOWN else ''}"


def in_capitals(symbol: str, known: Collection[str], otherwise: str) -> str:
    """Go on with "X is not running": the name that is known, where X is written in another case, else `otherwise`."""
    return f"did you mean {symbol.upper()}?" if symbol.upper() in known else otherwise
