"""The drift canary: notices that the venue's wire is no longer what we know, before that breaks trading. Pure.

May import protobuf. Venues add fields, renumber bodies and invent enum values without a word (mexc-protocol §1.5: new
fields in 2026-06 without a version change). What is unknown is skipped, counted by name, and told once it is more than
a stray frame.
"""

from __future__ import annotations

from collections import Counter

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

SAMPLE = 61
"""Of each kind of frame one in so many is searched for unknown fields: one that is there to stay is found within
seconds. A prime, so that no rhythm of the venue's keeps what is odd out of the sample."""

FIRST = 3
"""So many frames of each kind are searched anyway, in each half of a window: what is rare shall not wait for a turn."""

NAMES_MAX = 32
"""Different findings that are remembered; the rest is counted as one."""

WINDOW_FRAMES = 4_096
"""Frames over which the share is taken: half of it forgets what the half before it saw."""

FINDINGS_MIN = 3
SHARE_MIN = 0.002
"""So many findings, and so large a share of the frames, are no stray frame any more."""

OTHERS = "others"


class DriftCanary:
    """Counts what one stream's frames carry beyond our schema. Owned by a `PublicCodec`."""

    def __init__(self) -> None:
        self.findings: Counter[str] = Counter()
        """How often each unknown thing was seen, by name, since the start; at most `NAMES_MAX` names and OTHERS."""
        self._frames = 0
        self._kinds: Counter[str] = Counter()
        self._recent: Counter[str] = Counter()
        self._before: Counter[str] = Counter()
        self._frames_before = 0

    def on_frame(self, kind: str) -> bool:
        """Count a frame of a kind (the name of its body); True when it is one to be searched."""
        self._frames += 1
        if self._frames >= WINDOW_FRAMES // 2:
            self._before, self._frames_before = self._recent, self._frames
            self._recent, self._frames = Counter(), 0
            self._kinds.clear()
        seen = self._kinds[kind]
        self._kinds[kind] = seen + 1
        return seen < FIRST or not seen % SAMPLE

    def note(self, name: str) -> None:
        """Count a finding of one frame."""
        if name not in self.findings and len(self.findings) >= NAMES_MAX:
            name = OTHERS
        self.findings[name] += 1
        self._recent[name] += 1

    def search(self, frame: Message, body: Message | None) -> bool:
        """Look for unknown fields in a frame, its body and the body's first items; True when there are any."""
        found = [name for message in _parts(frame, body) for name in _unknown(message)]
        for name in dict.fromkeys(found):
            self.note(name)
        return bool(found)

    @property
    def alarm(self) -> str:
        """Return what has grown beyond a stray frame, the most frequent first; empty while nothing has."""
        frames = self._frames + self._frames_before
        seen = self._recent + self._before
        # A searched frame stands for those that were not.
        grown = [
            (count, name)
            for name, count in seen.items()
            if count >= FINDINGS_MIN and count * (SAMPLE if _is_sampled(name) else 1) >= SHARE_MIN * max(frames, 1)
        ]
        return ", ".join(name for _, name in sorted(grown, key=lambda item: (-item[0], item[1]))[:5])


_FIELD = "unknown field "


def _is_sampled(name: str) -> bool:
    return name.startswith(_FIELD)


def _unknown(message: Message) -> list[str]:
    fields = UnknownFieldSet(message)
    numbers = (fields[place].field_number for place in range(len(fields)))
    return [f"{_FIELD}{number} in {message.DESCRIPTOR.name}" for number in numbers]


def _parts(frame: Message, body: Message | None) -> list[Message]:
    parts = [frame]
    if body is not None:
        parts.append(body)
        for descriptor, value in body.ListFields():
            if descriptor.message_type is not None and descriptor.is_repeated and value:
                parts.append(value[0])
    return parts
