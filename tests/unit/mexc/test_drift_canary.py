"""The drift canary: a stray frame says nothing, what grows is told by name, and what goes is forgotten."""

from __future__ import annotations

import pytest

from trading.adapters.mexc.drift import FIRST, NAMES_MAX, OTHERS, SAMPLE, WINDOW_FRAMES, DriftCanary
from trading.adapters.mexc.proto import mexc_push_pb2 as pb

FIELD_9 = bytes([9 << 3 | 2, 1, 65])  # field 9, length-delimited, "A": unknown in every level and body


def frames(canary: DriftCanary, count: int, kind: str = "publicAggreDepths") -> int:
    """Count frames; return how many were to be searched."""
    return sum(canary.on_frame(kind) for _ in range(count))


def test_drift_one_frame_in_so_many_is_searched_and_the_first_ones() -> None:
    assert frames(DriftCanary(), SAMPLE * 20) == 20 + FIRST - 1


@pytest.mark.parametrize("rhythm", [2, 4, 8, 16, 64, 128])
def test_drift_of_a_rhythm_of_the_venue_is_found(rhythm: int) -> None:
    """A field in each n-th frame only, of three kinds that take turns."""
    canary, seen = DriftCanary(), 0
    for number in range(3 * WINDOW_FRAMES):
        kind = ("publicAggreDepths", "publicAggreDeals", "publicAggreBookTicker")[number % 3]
        is_searched = canary.on_frame(kind)
        seen += is_searched and number >= WINDOW_FRAMES and not number % rhythm
    assert seen >= 2 * WINDOW_FRAMES // (rhythm * SAMPLE) // 2


def test_drift_of_a_rare_kind_is_told_after_three_of_its_frames() -> None:
    canary = DriftCanary()
    for _ in range(3):
        frames(canary, 500)
        if canary.on_frame("publicSpotKline"):
            canary.note("unknown field 11 in PublicSpotKlineV3Api")
    assert canary.alarm == "unknown field 11 in PublicSpotKlineV3Api"


def test_drift_unknown_fields_of_frame_body_and_items_are_found_by_name() -> None:
    canary = DriftCanary()
    item = pb.PublicAggreDepthV3ApiItem.FromString(FIELD_9)
    body = pb.PublicAggreDepthsV3Api.FromString(FIELD_9)
    body.bids.append(item)
    assert canary.search(pb.PushDataV3ApiWrapper.FromString(FIELD_9), body)
    assert set(canary.findings) == {
        "unknown field 9 in PushDataV3ApiWrapper",
        "unknown field 9 in PublicAggreDepthsV3Api",
        "unknown field 9 in PublicAggreDepthV3ApiItem",
    }
    assert not canary.search(pb.PushDataV3ApiWrapper(symbol="X"), pb.PublicAggreDepthsV3Api())


def test_drift_stray_findings_raise_no_alarm_and_a_share_that_stays_does() -> None:
    canary = DriftCanary()
    frames(canary, 1_600)
    for _ in range(2):
        canary.note("unknown trade type 3")
    assert canary.alarm == "", "two are stray"
    canary.note("unknown trade type 3")
    assert canary.alarm == "", "three of 1,600 are too few"
    canary.note("unknown trade type 3")
    assert canary.alarm == "unknown trade type 3"


def test_drift_new_field_in_every_frame_is_told_within_a_few_searched_ones() -> None:
    canary = DriftCanary()
    seen = 0
    while not canary.alarm:
        seen += 1
        if canary.on_frame("publicAggreDepths"):
            canary.note("unknown field 7 in PublicAggreDepthsV3Api")
    assert seen <= 3 * SAMPLE


def test_drift_that_has_ended_is_forgotten_after_a_window() -> None:
    canary = DriftCanary()
    frames(canary, 10)
    for _ in range(50):
        canary.note("undecodable frame")
    assert canary.alarm
    frames(canary, WINDOW_FRAMES)
    assert canary.alarm == ""
    assert canary.findings["undecodable frame"] == 50


def test_drift_names_are_bounded() -> None:
    canary = DriftCanary()
    for number in range(10 * NAMES_MAX):
        canary.note(f"unexpected body {number}")
    assert len(canary.findings) == NAMES_MAX + 1
    assert canary.findings[OTHERS] == 9 * NAMES_MAX
