"""Signing of MEXC REST requests: percent-encoding and HMAC. Pure; may import the standard library only.

The signature covers the bytes as they travel: raw query, then raw body, directly joined, without the signature
itself. Source: MEXC spot V3 "SIGNED endpoint security" (read 2026-11-22) and recomputed vectors of independent clients.
"""

import hashlib
import hmac
from collections.abc import Iterable
from urllib.parse import quote

_UNRESERVED = "-_.~"


def percent_encode(text: str) -> str:
    """Encode `text` as UTF-8 with upper-case hex; letters, digits and `-_.~` stay, a blank becomes `%20`."""
    return quote(text, safe=_UNRESERVED)


def encode_params(params: Iterable[tuple[str, str]]) -> str:
    """Join pairs as `name=value&…` in the given order, both sides percent-encoded."""
    return "&".join(f"{percent_encode(name)}={percent_encode(value)}" for name, value in params)


def sign(secret: str, raw_query: str, raw_body: str = "") -> str:
    """Return the lower-case hex HMAC-SHA256 of query and body, which must be byte-identical to what is sent."""
    return hmac.new(secret.encode(), (raw_query + raw_body).encode(), hashlib.sha256).hexdigest()


def signed_query(secret: str, params: Iterable[tuple[str, str]]) -> str:
    """Return the encoded parameters with their `signature` as the last one, ready to be sent as query or body."""
    query = encode_params(params)
    return f"{query}&signature={sign(secret, query)}"


def is_signature_of(secret: str, raw_query: str, raw_body: str, signature: str) -> bool:
    """Compare in constant time. An upper-case signature is wrong, as at the venue."""
    return hmac.compare_digest(sign(secret, raw_query, raw_body).encode(), signature.encode())
