"""The hub: who hears which topic, and the rounds in which pushes are built, tampered with by faults, and fanned out.

Pure but for the sockets behind the connections; told the time.
"""

from heapq import heappop, heappush
from itertools import count
from typing import assert_never

from simulator.exchange.orders import BalanceChanged, OrderUpdated, PrivateEvent, TradeDone
from simulator.faults import FaultKind
from simulator.venue import Venue
from simulator.wire.connection import TOPICS_MAX, Connection
from simulator.wire.feeds import Feed, open_feed
from simulator.wire.frames import account_push, binary_frame, deal_push, order_push, wrapper
from simulator.wire.topics import Channel, Topic, parse_topic

CONNECTIONS_PER_KEY = 5
HOUSEKEEPING_MS = 100
GARBAGE = bytes((0xFF, 0x07, 0x13, 0x37)) * 8
DELTA_FAULTS = (
    FaultKind.DROP_DELTA,
    FaultKind.DUPLICATE_DELTA,
    FaultKind.REORDER_DELTA,
    FaultKind.TRUNCATED_FRAME,
    FaultKind.GARBAGE_FRAME,
    FaultKind.EMPTY_FRAME,
)
PUSH_FAULTS = (FaultKind.DELAY_PUSH, FaultKind.DUPLICATE_PUSH, FaultKind.REORDER_PUSH)
CONNECTION_FAULTS = (FaultKind.CLOSE, FaultKind.ROLLOVER, FaultKind.EXPIRE_LISTEN_KEY)


class Hub:
    """All connections, the feeds they hear, and what faults hold back. Owned by the service's loop."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.connections: set[Connection] = set()
        self.pushes = 0
        self._hearers: dict[str, set[Connection]] = {}
        self._feeds: dict[str, Feed] = {}
        self._due: dict[int, int] = {}  # by cadence in ms: when its feeds are looked at next
        self._by_cadence: dict[int, dict[str, Feed]] = {}
        self._stalled_until: dict[str, int] = {}
        self._held_delta: dict[str, bytes] = {}
        self._held_push: dict[Connection, bytes] = {}
        self._delayed: list[tuple[int, int, Connection, bytes]] = []
        self._delay_seq = count()
        self._housekeeping_ms = 0
        self._second = 0
        if venue.player is not None:
            venue.player.publish = self.publish

    def may_connect(self, listen_key: str) -> bool:
        """Return whether a key has room for one more connection."""
        return sum(connection.listen_key == listen_key for connection in self.connections) < CONNECTIONS_PER_KEY

    def leave(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        connection.is_closed = True
        for text in tuple(connection.topics):
            self.unsubscribe(connection, text)
        self.connections.discard(connection)
        self._held_push.pop(connection, None)

    def subscribe(self, connection: Connection, text: str) -> bool:
        """Subscribe a connection to a topic; False when the venue would answer Blocked."""
        if text in connection.topics:
            return True
        topic = parse_topic(text, self.venue.exchange.pairs)
        if topic is None or len(connection.topics) >= TOPICS_MAX:
            return False
        if topic.channel.is_private and connection.account is None:
            return False
        account = connection.account.key if connection.account is not None else None
        if self.venue.faults.fire(FaultKind.BLOCKED, topic.symbol, account):
            return False
        connection.topics[text] = topic
        self._hearers.setdefault(text, set()).add(connection)
        player = self.venue.player
        if player is not None and topic.channel is Channel.DEPTH:
            player.start(self.venue.now_ms())
        if player is not None and player.is_recorded(topic.channel, topic.symbol):
            return True
        if not topic.channel.is_private and text not in self._feeds:
            feed = self._feeds[text] = open_feed(topic, self.venue.exchange.pairs)
            self._by_cadence.setdefault(feed.every_ms, {})[text] = feed
        return True

    def unsubscribe(self, connection: Connection, text: str) -> bool:
        """Unsubscribe; False when the connection had no such topic. The last hearer closes the feed."""
        if connection.topics.pop(text, None) is None:
            return False
        hearers = self._hearers[text]
        hearers.discard(connection)
        if not hearers:
            del self._hearers[text]
            self._held_delta.pop(text, None)
            feed = self._feeds.pop(text, None)
            if feed is not None:
                del self._by_cadence[feed.every_ms][text]
                feed.close()
        return True

    def beat(self, now_ms: int) -> None:
        """Do all that is due: private pushes, feeds, faults upon connections, rules. Called every few milliseconds."""
        self.push_private(now_ms)
        while self._delayed and self._delayed[0][0] <= now_ms:
            _, _, connection, frame = heappop(self._delayed)
            connection.send(frame, now_ms)
        for every_ms, feeds in self._by_cadence.items():
            if now_ms < self._due.get(every_ms, 0):
                continue
            self._due[every_ms] = now_ms - now_ms % every_ms + every_ms
            for feed in tuple(feeds.values()):
                self._push_feed(feed, now_ms)
        if now_ms >= self._housekeeping_ms:
            self._housekeeping_ms = now_ms + HOUSEKEEPING_MS
            self._keep_house(now_ms)

    def _push_feed(self, feed: Feed, now_ms: int) -> None:
        payload = feed.flush(now_ms)
        if payload is not None:
            self._push_payload(feed.topic, payload, now_ms)

    def publish(self, channel: Channel, symbol: str, text: str, payload: bytes, now_ms: int) -> None:
        """Push a recorded frame to who hears its topic."""
        if text in self._hearers:
            self._push_payload(Topic(text, channel, symbol, "", text.rpartition("@")[0]), payload, now_ms)

    def _push_payload(self, topic: Topic, payload: bytes, now_ms: int) -> None:
        faults = self.venue.faults
        may_stall = topic.symbol is not None and (self._stalled_until or faults.is_any(FaultKind.STALL))
        if may_stall and self._is_stalled(topic.symbol or "", now_ms):
            return
        frame = binary_frame(payload)
        if topic.channel is Channel.DEPTH and (self._held_delta or faults.is_any(*DELTA_FAULTS)):
            for tampered in self._tampered(topic, payload, frame, now_ms):
                self._fan_out(topic.text, tampered, now_ms)
            return
        self._fan_out(topic.text, frame, now_ms)

    def _fan_out(self, text: str, frame: bytes, now_ms: int) -> None:
        for connection in tuple(self._hearers.get(text, ())):
            connection.send(frame, now_ms)
            self.pushes += 1

    def _is_stalled(self, symbol: str, now_ms: int) -> bool:
        """A stalled symbol pushes nothing for a while, and what it would have pushed is lost."""
        until = self._stalled_until.get(symbol, 0)
        if until > now_ms:
            return True
        self._stalled_until.pop(symbol, None)
        fault = self.venue.faults.fire(FaultKind.STALL, symbol)
        if fault is None:
            return False
        self._stalled_until[symbol] = now_ms + fault.delay_ms
        return True

    def _tampered(self, topic: Topic, payload: bytes, frame: bytes, now_ms: int) -> list[bytes]:
        """Return what is sent instead of one delta, in order."""
        faults, symbol = self.venue.faults, topic.symbol
        held = self._held_delta.pop(topic.text, None)
        after = [held] if held is not None else []
        if faults.fire(FaultKind.DROP_DELTA, symbol):
            return after
        if faults.fire(FaultKind.DUPLICATE_DELTA, symbol):
            return [frame, frame, *after]
        if held is None and faults.fire(FaultKind.REORDER_DELTA, symbol):
            self._held_delta[topic.text] = frame
            return []
        if faults.fire(FaultKind.TRUNCATED_FRAME, symbol):
            return [binary_frame(payload[: len(payload) // 2]), *after]
        if faults.fire(FaultKind.GARBAGE_FRAME, symbol):
            return [binary_frame(GARBAGE), frame, *after]
        if faults.fire(FaultKind.EMPTY_FRAME, symbol):
            return [binary_frame(wrapper(topic, now_ms).SerializeToString()), frame, *after]
        return [frame, *after]

    def push_private(self, now_ms: int) -> None:
        """Push the private events since the last call, in their order."""
        for event in self.venue.exchange.drain():
            channel = _channel_of(event)
            hearers = [
                connection for connection in self._hearers.get(channel.value, ()) if connection.account is event.account
            ]
            if hearers:
                symbol, frame = _private_frame(event, now_ms)
                for connection in hearers:
                    self._send_private(connection, frame, symbol, now_ms)

    def _send_private(self, connection: Connection, frame: bytes, symbol: str | None, now_ms: int) -> None:
        faults = self.venue.faults
        self.pushes += 1
        if not faults.is_any(*PUSH_FAULTS) and not self._held_push:
            return connection.send(frame, now_ms)
        account = connection.account.key if connection.account is not None else None
        held = self._held_push.pop(connection, None)
        delay = faults.fire(FaultKind.DELAY_PUSH, symbol, account)
        if delay is not None:
            heappush(self._delayed, (now_ms + delay.delay_ms, next(self._delay_seq), connection, frame))
        elif held is None and faults.fire(FaultKind.REORDER_PUSH, symbol, account):
            self._held_push[connection] = frame
        else:
            connection.send(frame, now_ms)
            if faults.fire(FaultKind.DUPLICATE_PUSH, symbol, account):
                connection.send(frame, now_ms)
        if held is not None:
            connection.send(held, now_ms)

    def _keep_house(self, now_ms: int) -> None:
        """Apply the rules and the faults that end connections."""
        venue = self.venue
        if venue.faults.is_any(*CONNECTION_FAULTS):
            self._strike_connections(now_ms)
        for connection in tuple(self.connections):
            is_orphan = bool(connection.listen_key) and (
                venue.listen_keys.owner(connection.listen_key, now_ms) is not connection.account
            )
            if is_orphan or connection.is_overdue(now_ms, venue.settings.time_scale):
                connection.abort()

    def _strike_connections(self, now_ms: int) -> None:
        """Close what the close and rollover faults mean, expire listen keys. A probability is drawn once a second."""
        faults = self.venue.faults
        is_new_second, self._second = now_ms // 1_000 != self._second, now_ms // 1_000
        for kind in CONNECTION_FAULTS:
            for fault in faults.of(kind):
                if fault.left is None and not is_new_second:
                    continue
                if kind is FaultKind.EXPIRE_LISTEN_KEY:
                    if faults.fire(kind, fault.symbol, fault.account):
                        self.venue.listen_keys.expire(fault.account)
                    continue
                meant = [c for c in self.connections if _concerns(c, fault.symbol, fault.account)]
                if not meant or not faults.fire(kind, fault.symbol, fault.account):
                    continue
                for connection in meant:
                    if kind is FaultKind.CLOSE:
                        connection.abort()
                    else:
                        connection.close(1001)


def _channel_of(event: PrivateEvent) -> Channel:
    match event:
        case OrderUpdated():
            return Channel.PRIVATE_ORDERS
        case TradeDone():
            return Channel.PRIVATE_DEALS
        case BalanceChanged():
            return Channel.PRIVATE_ACCOUNT
        case _:
            assert_never(event)


def _private_frame(event: PrivateEvent, now_ms: int) -> tuple[str | None, bytes]:
    """Return the symbol of a private event, None for balances, and its frame."""
    match event:
        case OrderUpdated():
            return event.order.pair.listing.symbol, binary_frame(order_push(event, now_ms))
        case TradeDone():
            return event.trade.order.pair.listing.symbol, binary_frame(deal_push(event, now_ms))
        case BalanceChanged():
            return None, binary_frame(account_push(event, now_ms))
        case _:
            assert_never(event)


def _concerns(connection: Connection, symbol: str | None, account: str | None) -> bool:
    """Return whether a connection fault is meant for a connection: by the symbols it hears, and by its account."""
    if account is not None and (connection.account is None or connection.account.key != account):
        return False
    return symbol is None or any(topic.symbol == symbol for topic in connection.topics.values())
