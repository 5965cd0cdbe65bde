"""Strategies: what each wants to have in the book, given what it sees. May import `trading.model`, `trading.engine`."""
