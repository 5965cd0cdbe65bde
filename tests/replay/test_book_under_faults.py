"""Thin and fat streams over a faulty line against a plain dict: never wrong while proven, every fault noticed."""

from __future__ import annotations

import pytest

from bench.depth_frames import generated
from tests.faulty_line import assert_never_wrong_and_all_noticed

# Levels a message: 3.5 and 40 on average.
SHAPES = {"thin": (2_500, (2, 3, 4, 5)), "fat": (1_000, (35, 40, 45))}


@pytest.mark.parametrize("shape", SHAPES)
def test_book_over_a_generated_stream_with_faults_equals_a_plain_dict(shape: str) -> None:
    count, levels = SHAPES[shape]
    given = generated(count, levels, seed=3)
    assert_never_wrong_and_all_noticed(given.instrument, given.snapshot, given.frames, seed=5, check_every=1)
