"""The venue: the exchange with everything around it that the wire needs, and the market that trades on it.

May import simulator's parts; no sockets. Time comes in through a clock.
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from zlib import crc32

from simulator.exchange.accounts import Account
from simulator.exchange.amounts import ONE
from simulator.exchange.exchange import Exchange
from simulator.exchange.listings import Listing
from simulator.exchange.pair import Pair, Sequence
from simulator.exchange.settlement import MX
from simulator.exchange.tape import Backfill
from simulator.faults import FaultKind, Faults
from simulator.market.generator import US, PairGenerator
from simulator.market.history import Past
from simulator.market.profiles import MIDDLE, Profile, profile_of
from simulator.replay.desk import PaperDesk
from simulator.replay.player import Player, ReplayedPair
from simulator.replay.recording import Recording
from simulator.settings import SimulatorSettings
from simulator.wire.limits import Limiter
from simulator.wire.listen_keys import ListenKeys

# The market runs so long before the doors open, in virtual seconds: the tape and the book are lived in.
WARM_UP_S = 20
WARM_UP_MANY_S = 4
MANY = 20
# A process that slept (a suspended laptop) does not run through the hours it missed.
CATCH_UP_MAX_US = 2 * US
# What every account has of MX at least, and what one is worth in quote units while it is not listed.
MX_DEPOSIT = 100 * ONE
MX_PRICE = 345 * ONE // 100
# MEXC's own versions were of this order in autumn 2026: beyond 32 bits.
FIRST_VERSION = 83_000_000_000


class Venue:
    """One running simulator without its sockets. Owned by the service's loop."""

    def __init__(self, settings: SimulatorSettings, clock_ms: Callable[[], int]) -> None:
        self.settings = settings
        self._start_ms = clock_ms()
        self.exchange = Exchange(settings.rules, self._start_ms)
        self.exchange.ledger.mx_price = MX_PRICE
        self.faults = Faults()
        self.listen_keys = ListenKeys(settings.seed, settings.time_scale)
        self.limiter = Limiter(settings.limits, settings.time_scale)
        self.player: Player | None = None
        self.generators: list[PairGenerator] = []
        self._unseen: list[Pair] = []  # pairs whose past is still to be made
        self._clock_ms = clock_ms
        self._sequence = Sequence(self._start_ms)
        self._virtual_us = 0
        self._last_ms = self._start_ms

    def now_ms(self) -> int:
        """Return the venue's time, which never runs backwards."""
        self._last_ms = max(self._last_ms, self._clock_ms())
        return self._last_ms

    def told_ms(self, account: str | None = None, symbols: Collection[str] = ()) -> int:
        """Return the time as the venue tells and checks it, for a request of an account about symbols.

        It is the true one unless a clock fault strikes.
        """
        now_ms = self.now_ms()
        if self.faults.is_any(FaultKind.CLOCK_SKEW):
            fault = self.faults.fire(FaultKind.CLOCK_SKEW, symbols, account)
            return now_ms + (fault.delay_ms if fault is not None else 0)
        return now_ms

    def list_pair(self, profile: Profile, backfill: Backfill | None = None) -> Pair:
        """List a pair with an empty book."""
        listing: Listing = profile.listing
        # Of the symbol alone: same seed, same versions, whatever else is listed.
        version = FIRST_VERSION + crc32(listing.symbol.encode())
        pair = Pair(listing, profile.first_price_ticks, self._sequence, version, backfill)
        self.exchange.list_pair(pair)
        if listing.base == MX:
            self.exchange.ledger.mx_pair = pair
        return pair

    def open_market(self) -> None:
        """List the generated pairs of the settings and let their market run up to now."""
        settings = self.settings
        warm_up_s = WARM_UP_S if len(settings.symbols) <= MANY else WARM_UP_MANY_S
        self._virtual_us = warm_up_s * US
        self._start_ms = self.now_ms() - warm_up_s * 1_000
        for symbol in settings.symbols:
            profile = profile_of(symbol, settings.maker_fee, settings.taker_fee)
            pair = self.list_pair(profile, Past(profile, settings.seed))
            self._unseen.append(pair)
            generator = PairGenerator(pair, profile, settings.seed)
            generator.run_until(self._virtual_us, self._start_ms)
            self.generators.append(generator)

    def open_replay(self, recording: Recording) -> None:
        """List the pairs of a recording, and get ready to play it."""
        replayed: dict[str, ReplayedPair] = {}
        for recorded in recording.pairs:
            bids, asks = recorded.snapshot.bids, recorded.snapshot.asks
            best = bids[0] if bids else asks[0] if asks else (1, 0)
            pair = self.list_pair(Profile(self._charged(recorded.listing), best[0], MIDDLE))
            desk = PaperDesk(pair, recorded.instrument, self.exchange.ledger)
            pair.desk = desk
            replayed[recorded.listing.symbol] = ReplayedPair(recorded, pair, desk)
        self.player = Player(recording, replayed, self.settings.speed, self.now_ms())

    def _charged(self, listing: Listing) -> Listing:
        """Return a recorded listing with the fees that were asked for; by default they are the recording's."""
        maker, taker = self.settings.maker_fee_e8, self.settings.taker_fee_e8
        return replace(
            listing,
            maker_fee_e8=listing.maker_fee_e8 if maker is None else maker,
            taker_fee_e8=listing.taker_fee_e8 if taker is None else taker,
        )

    @property
    def is_replay_done(self) -> bool:
        """True once a replay has played its last row."""
        return self.player is not None and self.player.is_done

    def open_accounts(self) -> None:
        """Open the accounts of the settings, each with quote and base assets to trade with."""
        for credentials in self.settings.accounts:
            deposits: dict[str, int] = {}
            for pair in self.exchange.pairs.values():
                listing = pair.listing
                deposits.setdefault(listing.quote, self.settings.quote_deposit)
                one_lot = max(1, listing.value(pair.tape.last_price))
                deposits[listing.base] = listing.base_amount(self.settings.base_deposit // one_lot)
            deposits.setdefault("USDT", self.settings.quote_deposit)
            # Whoever takes fees in MX has some, listed or not.
            deposits[MX] = max(deposits.get(MX, 0), MX_DEPOSIT)
            self.exchange.open_account(credentials.key, credentials.secret, deposits)

    def advance(self) -> int:
        """Let the generated market live up to now. Returns now, in ms."""
        now_ms = self.now_ms()
        if self.player is not None:
            self.player.advance(now_ms)
            self.exchange.cancel_due(now_ms)
            return now_ms
        behind_us = (now_ms - self._start_ms) * 1_000 - self._virtual_us
        if behind_us > CATCH_UP_MAX_US:
            self._start_ms += (behind_us - CATCH_UP_MAX_US) // 1_000
            behind_us = CATCH_UP_MAX_US
        self._virtual_us += max(0, behind_us)
        if self._unseen:
            # One pair's past a beat: nobody waits long for the first 24 h ticker of all.
            self._unseen.pop().tape.minutes(now_ms)
        for generator in self.generators:
            if generator.next_us <= self._virtual_us:
                generator.run_until(self._virtual_us, self._start_ms)
        self.exchange.cancel_due(now_ms)
        return now_ms

    def account_of(self, key: str) -> Account | None:
        """Return the account of an API key."""
        return self.exchange.accounts.get(key)
