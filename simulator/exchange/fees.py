"""The fee schedule: which rates hold for whom on which pair, and in what they are taken. Pure.

A pair's listing has the standard rates, the rules the standard asset. Terms upon them may be set for a symbol, an
account, or one account on one symbol; the narrower set wins, field by field.
"""

from dataclasses import dataclass

from simulator.exchange.accounts import Account
from simulator.exchange.listings import Listing
from simulator.exchange.rules import FeeAsset

# Sets of terms kept at most: a symbol and an account each, and some of both.
TERMS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class FeeTerms:
    """Fee terms; None leaves a field to the wider set. Rates are in units of 10^-8 of the value."""

    maker_e8: int | None = None
    taker_e8: int | None = None
    asset: FeeAsset | None = None

    def over(self, wider: "FeeTerms") -> "FeeTerms":
        """Return these terms, completed by wider ones."""
        return FeeTerms(
            wider.maker_e8 if self.maker_e8 is None else self.maker_e8,
            wider.taker_e8 if self.taker_e8 is None else self.taker_e8,
            wider.asset if self.asset is None else self.asset,
        )


@dataclass(frozen=True, slots=True)
class FeeRates:
    """What one account pays on one pair: rates in units of 10^-8, and what they are taken in."""

    maker_e8: int
    taker_e8: int
    asset: FeeAsset


class FeeSchedule:
    """All terms in force, by (symbol, account key); None in either place means any."""

    def __init__(self, asset: FeeAsset) -> None:
        self._asset = asset
        self._terms: dict[tuple[str | None, str | None], FeeTerms] = {}

    def put(self, symbol: str | None, account: str | None, terms: FeeTerms) -> bool:
        """Set terms, in place of what was set for the same symbol and account; False when too many are set."""
        if (symbol, account) not in self._terms and len(self._terms) >= TERMS_MAX:
            return False
        self._terms[symbol, account] = terms
        return True

    def clear(self) -> None:
        """Return to the listings' rates and the rules' asset."""
        self._terms.clear()

    def items(self) -> list[tuple[str | None, str | None, FeeTerms]]:
        """Return (symbol, account, terms) of everything that is set."""
        return [(symbol, account, terms) for (symbol, account), terms in self._terms.items()]

    def standard(self, listing: Listing) -> FeeRates:
        """Return what a pair costs who has no terms of their own: what exchangeInfo tells."""
        return self._resolved(listing, None)

    def of(self, account: Account, listing: Listing) -> FeeRates:
        """Return what an account pays on a pair; the MX deduction that it may have switched on is not looked at."""
        return self._resolved(listing, account.key)

    def _resolved(self, listing: Listing, account: str | None) -> FeeRates:
        maker, taker, asset = listing.maker_fee_e8, listing.taker_fee_e8, self._asset
        if self._terms:
            found = FeeTerms(maker, taker, asset)
            wide_to_narrow: list[tuple[str | None, str | None]] = [(None, None), (listing.symbol, None)]
            if account is not None:
                wide_to_narrow += [(None, account), (listing.symbol, account)]
            for place in wide_to_narrow:
                terms = self._terms.get(place)
                found = found if terms is None else terms.over(found)
            maker, taker, asset = found.maker_e8 or 0, found.taker_e8 or 0, found.asset or asset
        return FeeRates(maker, taker, asset)
