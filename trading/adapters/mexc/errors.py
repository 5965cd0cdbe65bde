"""What MEXC's refusals mean, and who must act on them: HTTP status and JSON code to our error tree. Pure.

May import `trading.model`, orjson and the errors of websockets. Sources: mexc-protocol §5 (MEXC's table and other
clients' readings), 2026-11-22.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, NoReturn

import orjson
from websockets.exceptions import InvalidStatus

from trading.model.errors import OutcomeUnknown, RateLimited, VenueRejected, VenueUnavailable

# The web application firewall lets nobody in for about 90 s (measured by others, mexc-protocol §5).
_FIREWALL_PAUSE_S = 90.0
_PAUSE_S = 1.0
_PAUSE_MAX_S = 3_600.0
# The venue's longest code has six digits.
_CODE_DIGITS = 12
_TEXT_MAX = 200


class ErrorClass(Enum):
    """What to do about a code of MEXC's."""

    RETRY = auto()  # the venue is not ready: the same request may succeed later
    BACK_OFF = auto()  # too fast
    REJECT = auto()  # this request is wrong, the next may be right
    DISABLE_SYMBOL = auto()  # no order for this symbol will be taken
    FATAL = auto()  # key, permission or account: a person must act
    RESYNC_CLOCK = auto()  # our idea of the venue's time is off
    UNKNOWN_OUTCOME = auto()  # it may have happened
    BENIGN_ON_CANCEL = auto()  # the order is already over, or not known


_CLASSES: dict[ErrorClass, tuple[int, ...]] = {
    ErrorClass.RETRY: (604, 801),
    ErrorClass.BACK_OFF: (429, 510),
    ErrorClass.DISABLE_SYMBOL: (-1121, 10007, 30000, 30014, 30016, 30018, 30019, 30020, 30021, 30051, 70011),
    ErrorClass.FATAL: (
        *(400, 401, 402, 403, 406, 602, 701, 702, 703, 704, 10001, 10015, 10072, 60005),
        *(700001, 700002, 700006, 700007, 700013),
    ),
    ErrorClass.RESYNC_CLOCK: (10073, 700003),
    # 603 "repeated request" and 10203 "order processing error" leave open whether the first one went through.
    ErrorClass.UNKNOWN_OUTCOME: (500, 503, 504, 603, 10203, 20002),
    ErrorClass.BENIGN_ON_CANCEL: (-2011, -2013),
}
_BY_CODE = {code: kind for kind, codes in _CLASSES.items() for code in codes}


def classify(code: int) -> ErrorClass:
    """Return what to do about a JSON code; REJECT for one that nobody has listed."""
    return _BY_CODE.get(code, ErrorClass.REJECT)


def read_answer(status: int, body: bytes, retry_after: str | None = None) -> Any:
    """Return the decoded JSON of a successful answer.

    Args:
        status: HTTP status. body: as received. retry_after: the header of that name, seconds.
    Raises:
        RateLimited (429, 418, the firewall's HTML 403, codes of class BACK_OFF), VenueUnavailable (maintenance),
        OutcomeUnknown (5xx, an unreadable success, codes of that class), VenueRejected (every other no; with its code,
        or the HTTP status when it has none).
    """
    if status in (429, 418):
        raise RateLimited(f"HTTP {status}: {_short(body)}", _pause_s(retry_after, _PAUSE_S))
    if status >= 500:
        raise OutcomeUnknown(f"HTTP {status}: {_short(body)}")
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        if status == 403:
            pause_s = _pause_s(retry_after, _FIREWALL_PAUSE_S)
            raise RateLimited("HTTP 403 without JSON: the venue's firewall", pause_s, True)
        if status < 300:
            raise OutcomeUnknown(f"HTTP {status} with an unreadable body: {_short(body)}")
        raise VenueRejected(f"HTTP {status}: {_short(body)}", status)
    code = _code_of(answer)
    # Errors come in HTTP 200 too: success means no code, 0 or 200.
    if status < 300 and code in (None, 0, 200):
        return answer
    _raise(code if code not in (None, 0, 200) else status, _message_of(answer, body), retry_after)


def connect_refusal(error: Exception) -> RateLimited | None:
    """Return what the venue said when it answered a socket's opening with 429, 418 or 403; None for any other end.

    A connect carries no key and names nothing wrong: a 403 is the firewall's (mexc-protocol §5).
    """
    if not isinstance(error, InvalidStatus) or error.response.status_code not in (403, 418, 429):
        return None
    status = error.response.status_code
    default_s = _FIREWALL_PAUSE_S if status == 403 else _PAUSE_S
    return RateLimited(f"connect: HTTP {status}", _pause_s(error.response.headers.get("Retry-After"), default_s))


def _raise(code: int, text: str, retry_after: str | None) -> NoReturn:
    text = f"{text} (code {code})"
    match classify(code):
        case ErrorClass.BACK_OFF:
            raise RateLimited(text, _pause_s(retry_after, _PAUSE_S))
        case ErrorClass.UNKNOWN_OUTCOME:
            raise OutcomeUnknown(text)
        case ErrorClass.RETRY:
            raise VenueUnavailable(text)
        case _:
            raise VenueRejected(text, code)


def _code_of(answer: Any) -> int | None:
    code = answer.get("code") if isinstance(answer, dict) else None
    if isinstance(code, str) and code.removeprefix("-").isdecimal() and len(code) <= _CODE_DIGITS:
        return int(code)
    return code if isinstance(code, int) else None


def _message_of(answer: Any, body: bytes) -> str:
    message = answer.get("msg") if isinstance(answer, dict) else None
    return _readable(str(message)[:_TEXT_MAX]) if message else _short(body)


def _short(body: bytes) -> str:
    return _readable(body[:_TEXT_MAX].decode(errors="replace")) or "no text"


def _readable(text: str) -> str:
    """Replace what no journal, log or page can show (NUL, control characters): it ends up in all of them."""
    return "".join(item if item.isprintable() else " " for item in text).strip()


def _pause_s(retry_after: str | None, default_s: float) -> float:
    """Read Retry-After in seconds; its date form, or nonsense, gives the default."""
    try:
        pause_s = float(retry_after) if retry_after else default_s
    except ValueError:
        return default_s
    return min(max(pause_s, 0.0), _PAUSE_MAX_S) if pause_s == pause_s else default_s
