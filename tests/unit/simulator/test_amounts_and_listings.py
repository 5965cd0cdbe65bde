"""Exact texts and amounts, and what a listing makes of them."""

import pytest

from simulator.exchange.amounts import (
    ONE,
    NotANumberError,
    TooManyDecimalsError,
    amount_text,
    padded,
    parse_steps,
    rate_text,
    trimmed,
)
from simulator.exchange.listings import Listing, fee_amount


@pytest.mark.parametrize(
    ("text", "decimals", "steps"),
    [
        ("82990.70", 2, 8_299_070),
        ("1", 2, 100),
        (".5", 1, 5),
        ("5.", 1, 50),
        ("1e-5", 5, 1),
        ("0.10000", 1, 1),
        ("0", 3, 0),
    ],
)
def test_parse_steps_decimal_text_is_read_exactly(text: str, decimals: int, steps: int) -> None:
    assert parse_steps(text, decimals) == steps


@pytest.mark.parametrize(
    "text", ["", ".", "-1", "+1", "1,5", "NaN", "inf", "1_000", "0x1", "１", " 1", "1e999", "9" * 65]
)
def test_parse_steps_what_is_no_plain_number_is_refused(text: str) -> None:
    with pytest.raises(NotANumberError):
        parse_steps(text, 2)


def test_parse_steps_finer_than_the_step_is_refused() -> None:
    with pytest.raises(TooManyDecimalsError):
        parse_steps("0.001", 2)


def test_padded_and_trimmed_differ_in_zeros_only() -> None:
    assert (padded(8_299_070, 2), trimmed(8_299_070, 2)) == ("82990.70", "82990.7")
    assert (padded(7, 3), trimmed(0, 2), padded(-5, 2), trimmed(100, 0)) == ("0.007", "0", "-0.05", "100")
    assert (amount_text(ONE // 2), rate_text(50_000)) == ("0.5", "0.0005")


def test_listing_value_and_fee_are_exact() -> None:
    listing = Listing("AUSDT", "A", "USDT", "A", 2, 6)
    value = listing.value(8_053_589 * 10_001)  # 80535.89 x 0.010001
    assert amount_text(value) == "805.43943589"
    assert amount_text(fee_amount(value, 50_000)) == "0.402719717945"
    assert listing.ticks_lots_within(value) == 8_053_589 * 10_001
    assert amount_text(listing.base_amount(10_001)) == "0.010001"


def test_listing_with_more_decimals_than_amounts_have_is_refused() -> None:
    with pytest.raises(ValueError, match="decimals"):
        Listing("AUSDT", "A", "USDT", "A", 12, 8)
