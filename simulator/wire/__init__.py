"""MEXC's dialect: REST routes, errors, limits, topics and push frames. May import simulator.exchange, trading."""
