"""MEXC's refusals become the errors of whoever must act."""

import orjson
import pytest

from trading.adapters.mexc.errors import ErrorClass, classify, read_answer
from trading.model.errors import OutcomeUnknown, RateLimited, VenueRejected, VenueUnavailable


def body(code: object, text: str = "words") -> bytes:
    return orjson.dumps({"code": code, "msg": text})


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (700003, ErrorClass.RESYNC_CLOCK),
        (10073, ErrorClass.RESYNC_CLOCK),
        (510, ErrorClass.BACK_OFF),
        (700002, ErrorClass.FATAL),
        (10072, ErrorClass.FATAL),
        (10007, ErrorClass.DISABLE_SYMBOL),
        (30019, ErrorClass.DISABLE_SYMBOL),
        *((code, ErrorClass.UNKNOWN_OUTCOME) for code in (500, 503, 504, 603, 10203, 20002)),
        (10101, ErrorClass.REJECT),
        (30002, ErrorClass.REJECT),
        (30087, ErrorClass.REJECT),
        (-2011, ErrorClass.BENIGN_ON_CANCEL),
        (-2013, ErrorClass.BENIGN_ON_CANCEL),
        (603, ErrorClass.UNKNOWN_OUTCOME),
        (987654, ErrorClass.REJECT),
    ],
)
def test_classify_code_says_who_acts(code: int, kind: ErrorClass) -> None:
    assert classify(code) is kind


@pytest.mark.parametrize("payload", [b"{}", b"[]", b'[{"code":30002}]', body(0), body(200), body(None)])
def test_answer_without_error_code_is_returned(payload: bytes) -> None:
    assert read_answer(200, payload) == orjson.loads(payload)


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("code", [10101, "10101"])
def test_answer_with_a_code_is_rejected_whatever_the_status(status: int, code: object) -> None:
    with pytest.raises(VenueRejected, match="words") as caught:
        read_answer(status, body(code))
    assert caught.value.code == 10101


@pytest.mark.parametrize(
    ("status", "payload", "header", "pause_s"),
    [
        (429, body(429), "7", 7.0),
        (429, b"", None, 1.0),
        (418, b"banned", "120", 120.0),
        (403, b"<html>denied</html>", None, 90.0),
        (200, body(510), "2.5", 2.5),
        (429, b"", "Wed, 21 Oct 2026 07:28:00 GMT", 1.0),
        (429, b"", "nan", 1.0),
        (429, b"", "-5", 0.0),
        (429, b"", "1e9", 3600.0),
    ],
)
def test_answer_too_fast_is_rate_limited_with_its_pause(
    status: int, payload: bytes, header: str | None, pause_s: float
) -> None:
    with pytest.raises(RateLimited) as caught:
        read_answer(status, payload, header)
    assert caught.value.retry_after_s == pause_s


@pytest.mark.parametrize(
    ("status", "payload"),
    [(500, b""), (502, b"<html>"), (504, body(30002)), (200, b"<html>"), (200, b""), (400, body(504))],
)
def test_answer_that_leaves_it_open_is_outcome_unknown(status: int, payload: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        read_answer(status, payload)


def test_answer_of_maintenance_is_unavailable() -> None:
    with pytest.raises(VenueUnavailable) as caught:
        read_answer(400, body(801))
    assert not isinstance(caught.value, RateLimited)


@pytest.mark.parametrize(("status", "payload"), [(404, b"<html>"), (302, b""), (400, b"{}"), (403, body(0))])
def test_answer_of_a_client_error_without_code_carries_the_status(status: int, payload: bytes) -> None:
    with pytest.raises(VenueRejected) as caught:
        read_answer(status, payload)
    assert caught.value.code == status
