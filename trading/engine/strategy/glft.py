"""Quotes of an inventory-averse market maker: reservation price and half spread, in closed form. Pure; floats only.

The model is that of M. Avellaneda and S. Stoikov, "High-frequency trading in a limit order book", Quantitative
Finance 8(3), 2008: the mid moves as a Brownian motion with deviation sigma, takers reach a quote at distance d from
the mid at the rate A * exp(-k d), and the maker has exponential utility with risk aversion gamma. Its solution for
a long horizon, as used here, is that of O. Guéant, C.-A. Lehalle and J. Fernandez-Tapia, "Dealing with the
inventory risk: a solution to the market making problem", Mathematics and Financial Economics 7(4), 2013
(arXiv:1105.3115), in the form of O. Guéant, "Optimal market making", Applied Mathematical Finance 24(2), 2017
(arXiv:1605.01862), section 4, for orders of one unit and xi = gamma:

    bid distance(q) = c1 + (2 q + 1) / 2 * sigma * c2
    ask distance(q) = c1 - (2 q - 1) / 2 * sigma * c2
    c1 = 1 / gamma * ln(1 + gamma / k)
    c2 = sqrt(gamma / (2 A k) * (1 + gamma / k)^(k / gamma + 1))

With gamma = g * k, g without a unit, one g serves symbols of any spread:

    c1 = ln(1 + g) / (g k)                                   c2 = sqrt(g / (2 A) * (1 + g)^(1 / g + 1))
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log1p, sqrt

from trading.engine.strategy.order_flow import Intensity


@dataclass(frozen=True, slots=True)
class Quotes:
    """What the model wants, in bps of the mid.

    Attributes:
        half_spread: distance of bid and ask from the reservation price, > 0.
        skew: how far the reservation price lies below the mid for each unit (order) of excess inventory, >= 0.
    """

    half_spread: float
    skew: float

    def reservation(self, inventory: float, most: float) -> float:
        """Return the reservation price relative to the mid, bps; at most `most` away from it.

        Args: inventory: in orders, above (+) or below (-) what is aimed at.
        """
        return max(-most, min(most, -self.skew * inventory))


def quotes(risk_aversion: float, volatility_bps: float, intensity: Intensity) -> Quotes:
    """Solve the model.

    Args:
        risk_aversion: gamma / k, > 0, without unit. volatility_bps: deviation of the mid over one second, >= 0.
        intensity: A a second and side, k a bp.
    Guarantee: half_spread falls as k grows; half_spread and skew rise with volatility, skew with the risk aversion.
    """
    adversity = log1p(risk_aversion)
    power = adversity * (1.0 / risk_aversion + 1.0)
    c1 = adversity / (risk_aversion * intensity.decay_per_bps)
    c2 = sqrt(risk_aversion / (2.0 * intensity.base_per_s)) * exp(power / 2.0)
    skew = volatility_bps * c2
    return Quotes(c1 + skew / 2.0, skew)
