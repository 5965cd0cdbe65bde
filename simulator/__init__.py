"""A local exchange that speaks MEXC's wire: REST, protobuf WebSocket, user stream. May import trading only.

`exchange` is the pure core (matching, balances), `market` the seeded flow, `wire` the venue's dialect; `service`
runs them.
"""
