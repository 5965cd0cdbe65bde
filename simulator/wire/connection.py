"""One WebSocket connection: control messages, subscriptions and the rules that end it. Pure; sends through a Socket."""

from collections import deque
from typing import Any, Protocol

import orjson

from simulator.exchange.accounts import Account
from simulator.wire.frames import text_frame
from simulator.wire.topics import Topic

TOPICS_MAX = 30
# Documented: dropped 30 s after connecting without a valid subscription, 60 s without data and PING, and after 24 h.
UNSUBSCRIBED_MS = 30_000
IDLE_MS = 60_000
LIFETIME_MS = 86_400_000
MESSAGES_PER_S = 100
# A client that does not read gets no more memory than this, bytes.
BACKLOG_MAX = 8 * 1024 * 1024
BLOCKED = "  Reason： Blocked! "  # the venue's own full-width colon


class Socket(Protocol):
    """Where a connection's frames go."""

    def write(self, frame: bytes) -> None:
        """Send one complete frame."""

    def backlog(self) -> int:
        """Return the bytes that wait to be sent."""

    def abort(self) -> None:
        """Break the connection, without a close frame."""

    def close(self, code: int) -> None:
        """Close the connection with a close frame."""


class Desk(Protocol):
    """Who decides about subscriptions: the hub."""

    def subscribe(self, connection: "Connection", text: str) -> bool:
        """Subscribe; False when the topic is refused."""

    def unsubscribe(self, connection: "Connection", text: str) -> bool:
        """Unsubscribe; False when the connection had no such topic."""


class Connection:
    """State of one connection. `account` is whose private stream it is, None for a public one."""

    def __init__(self, socket: Socket, desk: Desk, now_ms: int, account: Account | None, listen_key: str) -> None:
        self.socket = socket
        self.account = account
        self.listen_key = listen_key
        self.topics: dict[str, Topic] = {}
        self.opened_ms = now_ms
        self.unsubscribed_ms = now_ms  # since when there is no topic, while there is none
        self.alive_ms = now_ms  # last PING or push
        self.is_closed = False
        self._desk = desk
        self._recent_ms: deque[int] = deque(maxlen=MESSAGES_PER_S)

    def send(self, frame: bytes, now_ms: int) -> None:
        """Send a frame; a client too far behind is dropped."""
        if self.is_closed:
            return
        if self.socket.backlog() > BACKLOG_MAX:
            return self.abort()
        self.alive_ms = now_ms
        self.socket.write(frame)

    def abort(self) -> None:
        """Drop the connection without a word."""
        if not self.is_closed:
            self.is_closed = True
            self.socket.abort()

    def close(self, code: int) -> None:
        """Close the connection with a close frame."""
        if not self.is_closed:
            self.is_closed = True
            self.socket.close(code)

    def is_overdue(self, now_ms: int, time_scale: float) -> bool:
        """Return whether a rule ends this connection now."""
        if not self.topics and (now_ms - self.unsubscribed_ms) * time_scale > UNSUBSCRIBED_MS:
            return True
        if (now_ms - self.alive_ms) * time_scale > IDLE_MS:
            return True
        return (now_ms - self.opened_ms) * time_scale > LIFETIME_MS

    def receive(self, text: str, now_ms: int, *, echoes_id: bool) -> None:
        """Answer one text message of the client."""
        if not self._admit(now_ms):
            return self.abort()
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError:
            return self._answer(0, f"msg format invalid: {text[:200]}", now_ms)
        method = message.get("method") if isinstance(message, dict) else None
        if not isinstance(method, str):
            return self._answer(0, f"msg format invalid: {text[:200]}", now_ms)
        if method.upper() == "PING":
            self.alive_ms = now_ms
            return self._answer(0, "PONG", now_ms)
        params: Any = message.get("params")
        if method.upper() not in ("SUBSCRIPTION", "UNSUBSCRIPTION") or not isinstance(params, list):
            return self._answer(0, f"msg format invalid: {text[:200]}", now_ms)
        asked = message.get("id")
        request_id = asked if echoes_id and isinstance(asked, int) and not isinstance(asked, bool) else 0
        topics = [param if isinstance(param, str) else orjson.dumps(param).decode() for param in params]
        if method.upper() == "SUBSCRIPTION":
            return self._subscribe(topics, request_id, now_ms)
        removed = [topic for topic in topics if self._desk.unsubscribe(self, topic)]
        if removed and not self.topics:
            self.unsubscribed_ms = now_ms
        return self._answer(request_id, ",".join(removed), now_ms)

    def _admit(self, now_ms: int) -> bool:
        recent = self._recent_ms
        is_flood = len(recent) == MESSAGES_PER_S and recent[0] > now_ms - 1_000
        recent.append(now_ms)
        return not is_flood

    def _subscribe(self, topics: list[str], request_id: int, now_ms: int) -> None:
        accepted: list[str] = []
        refused: list[str] = []
        for topic in topics:
            (accepted if self._desk.subscribe(self, topic) else refused).append(topic)
        if accepted and not refused:
            text = ",".join(accepted)
        else:
            text = f"Subscribed successful! [{','.join(accepted)}]. " if accepted else ""
            text += f"Not Subscribed successfully! [{','.join(refused)}].{BLOCKED}"
        self._answer(request_id, text, now_ms)

    def _answer(self, request_id: int, text: str, now_ms: int) -> None:
        answer = orjson.dumps({"id": request_id, "code": 0, "msg": text}).decode()
        if not self.is_closed:
            self.socket.write(text_frame(answer))
