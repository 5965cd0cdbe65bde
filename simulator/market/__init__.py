"""The generated market: profiles, regimes and agents over a seeded generator. May import simulator.exchange."""
