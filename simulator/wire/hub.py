"""The hub: who hears which topic, and the rounds in which pushes are built, tampered with by faults, and fanned out.

Pure but for the sockets behind the connections; told the time.
"""

from typing import assert_never

from simulator.exchange.orders import BalanceChanged, OrderUpdated, PrivateEvent, TradeDone
from simulator.faults import FaultKind
from simulator.venue import Venue
from simulator.wire.connection import TOPICS_MAX, Connection
from simulator.wire.feeds import Feed, open_feed
from simulator.wire.frames import account_push, binary_frame, deal_push, order_push
from simulator.wire.rounds import Rounds
from simulator.wire.tampering import Tampering
from simulator.wire.topics import Channel, Topic, parse_topic

CONNECTIONS_PER_KEY = 5
HOUSEKEEPING_MS = 100
CONNECTION_FAULTS = (FaultKind.CLOSE, FaultKind.ROLLOVER, FaultKind.EXPIRE_LISTEN_KEY)


class Hub:
    """All connections, the feeds they hear, and what faults hold back. Owned by the service's loop."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.connections: set[Connection] = set()
        self.pushes = 0
        self._hearers: dict[str, set[Connection]] = {}
        self._rounds = Rounds()
        self._is_over = False  # a replay has ended: nothing public is pushed any more
        self._tampering = Tampering(venue.faults)
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
        self._tampering.forget_pushes(connection)

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
        symbols = () if topic.symbol is None else (topic.symbol,)
        if self.venue.faults.fire(FaultKind.BLOCKED, symbols, account):
            return False
        connection.topics[text] = topic
        self._hearers.setdefault(text, set()).add(connection)
        player = self.venue.player
        if player is not None and topic.channel is Channel.DEPTH:
            player.start(self.venue.now_ms())
        if player is not None and player.is_recorded(topic.channel, topic.symbol):
            return True
        if not topic.channel.is_private and text not in self._rounds:
            self._rounds.add(open_feed(topic, self.venue.exchange.pairs))
        return True

    def unsubscribe(self, connection: Connection, text: str) -> bool:
        """Unsubscribe; False when the connection had no such topic. The last hearer closes the feed."""
        if connection.topics.pop(text, None) is None:
            return False
        hearers = self._hearers[text]
        hearers.discard(connection)
        self._tampering.forget(connection, text)
        if not hearers:
            del self._hearers[text]
            self._tampering.forget(None, text)
            self._rounds.remove(text)
        return True

    def beat(self, now_ms: int) -> None:
        """Do all that is due: private pushes, feeds, faults upon connections, rules. Called every few milliseconds."""
        self.push_private(now_ms)
        self._tampering.send_delayed(now_ms)
        if not self._is_over:
            # The end of a replay gives every feed its last turn.
            self._is_over = self.venue.is_replay_done
            for feed in self._rounds.all() if self._is_over else self._rounds.due(now_ms):
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
        hearers = tuple(self._hearers.get(topic.text, ()))
        if topic.symbol is not None and self._tampering.is_stalled(topic.symbol, None, now_ms):
            return
        if topic.channel is Channel.DEPTH:
            for connection, tampered in self._tampering.deltas(topic, payload, hearers, now_ms):
                connection.send(tampered, now_ms)
                self.pushes += 1
            return
        frame = binary_frame(payload)
        for connection in hearers:
            connection.send(frame, now_ms)
        self.pushes += len(hearers)

    def push_private(self, now_ms: int) -> None:
        """Push the private events since the last call, in their order."""
        for event in self.venue.exchange.drain():
            channel = _channel_of(event)
            hearers = [
                connection for connection in self._hearers.get(channel.value, ()) if connection.account is event.account
            ]
            if hearers:
                symbol, payload = _private_push(event, now_ms)
                topic = Topic(channel.value, channel, symbol, "", channel.value)
                for connection in hearers:
                    self._tampering.send_private(connection, topic, payload, now_ms)
                    self.pushes += 1

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
                symbols = () if fault.symbol is None else (fault.symbol,)
                if kind is FaultKind.EXPIRE_LISTEN_KEY:
                    if faults.fire(kind, symbols, fault.account):
                        self.venue.listen_keys.expire(fault.account)
                    continue
                meant = [c for c in self.connections if _concerns(c, fault.symbol, fault.account)]
                if not meant or not faults.fire(kind, symbols, fault.account):
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


def _private_push(event: PrivateEvent, now_ms: int) -> tuple[str | None, bytes]:
    """Return the symbol of a private event, None for balances, and its push."""
    match event:
        case OrderUpdated():
            return event.order.pair.listing.symbol, order_push(event, now_ms)
        case TradeDone():
            return event.trade.order.pair.listing.symbol, deal_push(event, now_ms)
        case BalanceChanged():
            return None, account_push(event, now_ms)
        case _:
            assert_never(event)


def _concerns(connection: Connection, symbol: str | None, account: str | None) -> bool:
    """Return whether a connection fault is meant for a connection: by the symbols it hears, and by its account."""
    if account is not None and (connection.account is None or connection.account.key != account):
        return False
    return symbol is None or any(topic.symbol == symbol for topic in connection.topics.values())
