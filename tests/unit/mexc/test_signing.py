"""The signature vectors of the protocol reference, and what must not verify."""

import pytest

from tests.golden_wire import TAIL, VECTORS
from trading.adapters.mexc.signing import encode_params, is_signature_of, sign, signed_query


@pytest.mark.parametrize(("secret", "query", "body", "expected"), VECTORS, ids=range(1, 10))
def test_sign_reference_vector_gives_published_signature(secret: str, query: str, body: str, expected: str) -> None:
    assert sign(secret, query, body) == expected
    assert is_signature_of(secret, query, body, expected)


def test_encode_params_special_characters_are_upper_case_percent_codes() -> None:
    pairs = [("newClientOrderId", "my order:1/ä+~"), ("symbol", "BTCUSDT,MXUSDT")]
    assert encode_params(pairs) == "newClientOrderId=my%20order%3A1%2F%C3%A4%2B~&symbol=BTCUSDT%2CMXUSDT"


def test_signed_query_appends_the_signature_of_what_precedes_it() -> None:
    query = signed_query("testSecret", [("timestamp", "1700000000000"), ("recvWindow", "5000")])
    assert query == f"{TAIL}&signature={VECTORS[3][3]}"


def test_is_signature_of_upper_case_or_other_bytes_is_refused() -> None:
    good = VECTORS[3][3]
    assert not is_signature_of("testSecret", TAIL, "", good.upper())
    assert not is_signature_of("testSecret", TAIL + " ", "", good)
    assert not is_signature_of("otherSecret", TAIL, "", good)
    assert not is_signature_of("testSecret", TAIL, "", "ä")
