"""The signature vectors of the protocol reference, and what must not verify."""

import pytest

from trading.adapters.mexc.signing import encode_params, is_signature_of, sign, signed_query

DOCS_SECRET = "45d0b3c26f2644f19bfb98b07741b2f5"
TAIL = "timestamp=1700000000000&recvWindow=5000"

VECTORS = [
    (
        DOCS_SECRET,
        "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=11&recvWindow=5000&timestamp=1644489390087",
        "",
        "fd3e4e8543c5188531eb7279d68ae7d26a573d0fc5ab0d18eb692451654d837a",
    ),
    (
        DOCS_SECRET,
        "symbol=BTCUSDT&side=BUY&type=LIMIT",
        "quantity=1&price=11&recvWindow=5000&timestamp=1644489390087",
        "d1a676610ceb39174c8039b3f548357994b2a34139a8addd33baadba65684592",
    ),
    (
        "testSecret",
        f"symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=0.001&price=50000&{TAIL}",
        "",
        "c5aa4945ce5abf483f7e73c605f0b9686d820bbc011ecc8091ce38ca4a06cc2e",
    ),
    ("testSecret", TAIL, "", "1bb33e8643d36c1b1176407d5acc049dcfec17cddbcb5cd13e936a7c5f12d6f2"),
    (
        "testSecret",
        f"symbol=BTCUSDT&orderId=C02__583905164440776704043&{TAIL}",
        "",
        "2136b335d180f45de4d925a14abf82a1ec42ddfbd6e6d82c47e7b3153aa32a57",
    ),
    (
        "testSecret",
        f"symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.5&newClientOrderId=my%20order%3A1%2F%C3%A4%2B~&{TAIL}",
        "",
        "0134dc5729748de534932d66e6615767d5a2e12534358dcbf5fc60b2a41eaa78",
    ),
    (
        "testSecret",
        (
            "batchOrders=%5B%7B%22symbol%22%3A%22BTCUSDT%22%2C%22side%22%3A%22BUY%22%2C%22type%22%3A%22LIMIT%22%2C"
            f"%22quantity%22%3A%221%22%2C%22price%22%3A%222%22%7D%5D&{TAIL}"
        ),
        "",
        "d8e86dab796323d9a5583928fb39f6e60c89befe2ca506ac75562c599066c56b",
    ),
    ("testSecret", f"listenKey=abc&{TAIL}", "", "3130ee7cc23f86a162b4b8746668575680bb32b2e6c6bec7fe66581853c777c1"),
    (
        "testSecret",
        f"symbol=BTCUSDT%2CMXUSDT&{TAIL}",
        "",
        "b6c030be1153284e828be75da05f89b60939467a1785460bc05aec4f15145e3f",
    ),
]


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
