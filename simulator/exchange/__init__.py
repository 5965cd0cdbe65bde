"""The exchange core: listings, book, matching, accounts. Pure; told `now_ms`. May import trading.model."""
