"""Our place in the queue of one price level, under a queue model. Pure; may import `trading.model` and its own models.

F = lots ahead of us, Q = lots displayed at our price (others' only: a paper order is not in the public book),
B = Q - F behind us. The rules are those of hftbacktest's documentation ("Order fill", read 2026-11-22), with one
addition: depth and trades arrive unordered, so a shrink waits a while for the trade that may explain it.
"""

from __future__ import annotations

from math import inf

from trading.engine.matching_models import MatchingRules, QueueModel


class QueuePlace:
    """Where one resting order stands. Owned by its order.

    Invariants: 0 <= ahead; only `on_trade` makes a fill. Under the same calls the pessimistic `ahead` is at least the
    probabilistic one: both start equal, lose the same to trades, and only the latter loses to cancels in front.
    """

    __slots__ = (
        "_cancels",
        "_crossed_ns",
        "_displayed",
        "_is_pessimistic",
        "_late_ns",
        "_shrinks",
        "_traded",
        "_traded_ns",
        "ahead",
    )

    def __init__(self, displayed: int, is_known: bool, model: QueueModel, rules: MatchingRules) -> None:
        """Join at the back: everything displayed is ahead; an unknown level (below the snapshot) may hold anything."""
        self.ahead: float = displayed if is_known else inf
        self._displayed = displayed
        self._is_pessimistic = model is QueueModel.PESSIMISTIC
        self._cancels = rules.cancels
        self._late_ns = rules.late_trade_ns
        self._crossed_ns = -1  # when the other side came to our price; -1: it did not, or that is settled
        self._traded = 0  # lots traded at our price that the displayed size does not show yet
        self._traded_ns = 0
        self._shrinks: list[
            list[int]
        ] = []  # [seen at, unexplained lots, most that can be ahead after it], oldest first

    def on_trade(self, public_lots: int, lots: int, now_ns: int) -> int:
        """Take a trade at our price and return the lots that reach us.

        Args:
            public_lots: the trade's size, by which the displayed size shrinks (or has shrunk).
            lots: what of it is left after our own orders in front of this one.
        """
        self._settle(now_ns)
        unexplained = public_lots
        most_ahead = inf  # after the shrinks that trades have explained whole
        while unexplained and self._shrinks:
            first = self._shrinks[0]
            taken = min(unexplained, first[1])
            first[1] -= taken
            unexplained -= taken
            if not first[1]:
                most_ahead = self._shrinks.pop(0)[2]
        self._traded += unexplained
        self._traded_ns = now_ns
        for shrink in self._shrinks:
            shrink[2] = max(0, shrink[2] - unexplained)
        reaching = lots - self.ahead
        self.ahead = min(max(0, self.ahead - lots), most_ahead)
        return int(reaching) if reaching > 0 else 0

    def on_swept(self) -> None:
        """The market traded through our price: nothing is ahead any more."""
        self.ahead = 0
        self._crossed_ns = -1
        self._shrinks.clear()

    def on_crossed(self, now_ns: int) -> None:
        """The other side's best came to our price: what was ahead has traded, though its trades may be told late.

        So the queue stays ahead of us for as long as trades may be late: they pay it off before anything reaches us.
        """
        if not self._late_ns:
            self.on_swept()
        elif self.ahead and self._crossed_ns < 0:
            self._crossed_ns = now_ns

    def on_level(self, displayed: int, now_ns: int, is_known: bool = True) -> None:
        """Take the size now displayed at our price; a level that vanishes is not a fill.

        Args: is_known: False where nothing displayed may mean that nobody told (below the snapshot).
        """
        if self.ahead == inf:
            if displayed or is_known:  # told for the first time: as if we joined now
                self.ahead, self._displayed, self._traded = displayed, displayed, 0
                self._shrinks.clear()
            return
        self._settle(now_ns)
        decrease = self._displayed - displayed
        if not self._late_ns:
            if decrease:
                # The plain model: what traded since the level's last change explains this one, and what is behind us is
                # reckoned from the size before those trades.
                before, traded, self._traded = self._displayed, self._traded, 0
                self._displayed = displayed
                self._apply(decrease - traded, displayed, before)
            return
        self._displayed = displayed
        if decrease <= 0:
            # New orders queue behind us; what already traded but is not shown yet still has to come off.
            self._bound(max(0, displayed - self._traded) + self._waiting())
            return
        explained = min(decrease, self._traded)
        self._traded -= explained
        if decrease > explained:
            self._shrinks.append([now_ns, decrease - explained, max(0, displayed - self._traded)])
        else:
            self._bound(max(0, displayed - self._traded) + self._waiting())

    def _settle(self, now_ns: int) -> None:
        """Apply shrinks that no trade has explained in time, and forget trades that no shrink has shown in time."""
        if self._crossed_ns >= 0 and now_ns - self._crossed_ns >= self._late_ns:
            self.on_swept()
        while self._shrinks and now_ns - self._shrinks[0][0] >= self._late_ns:
            _, lots, most_ahead = self._shrinks.pop(0)
            self._apply(lots, most_ahead, most_ahead + lots)
        if self._traded and self._late_ns and now_ns - self._traded_ns >= self._late_ns:
            self._traded = 0

    def _apply(self, cancelled: int, most_ahead: int, total: int) -> None:
        """Let `cancelled` lots of `total` leave somewhere, after which at most `most_ahead` are in front of us."""
        if not self._is_pessimistic and cancelled > 0 and self.ahead != inf:
            behind = max(0.0, total - self.ahead)
            chance = self._cancels.chance_behind(self.ahead, behind)
            left = self.ahead - (1.0 - chance) * cancelled + min(behind - chance * cancelled, 0.0)
            self.ahead = max(0.0, left)
        self._bound(most_ahead)

    def _bound(self, most_ahead: int) -> None:
        self.ahead = min(self.ahead, most_ahead)

    def _waiting(self) -> int:
        return sum(shrink[1] for shrink in self._shrinks)
