"""The journal's SQL. Imports the row layout only.

Every write begins with the lease: a row lock (FOR SHARE) on the lease's row, taken only while epoch and owner are ours
and the time is not over, by the database's clock. Everything else in the statement joins it, so that without the lease
nothing is written; and since a successor must update that row, it waits until we have committed.
"""

from __future__ import annotations

from typing import Final, LiteralString

LEASE: Final = """
lease AS (
    SELECT 1 AS held FROM leases
    WHERE name = %(lease)s AND epoch = %(epoch)s AND owner = %(owner)s AND expires_at > clock_timestamp()
    FOR SHARE
)"""

_ORDER_INPUT: Final = """
input AS (
    SELECT * FROM jsonb_to_recordset(%(orders)s::jsonb) AS rows (
        client_order_id text, symbol text, run_id text, owner_epoch bigint, executor_epoch bigint, side text, type text,
        price_ticks bigint, qty_lots bigint, purpose text, strategy text, status text, created_ns bigint,
        valid_until_ns bigint, signed_ms bigint, recv_window_ms int, venue_order_id text, filled_lots bigint,
        filled_quote numeric, venue_filled_lots bigint, reason text, committed_ns bigint, sent_ns bigint,
        acked_ns bigint, updated_ns bigint, price numeric, qty numeric, filled_qty numeric, decision jsonb
    )
)"""

_ORDER_INSERT: Final = """
    INSERT INTO orders (
        client_order_id, account, session_id, symbol, run_id, owner_epoch, executor_epoch, side, type, price_ticks,
        qty_lots, purpose, strategy, status, created_ns, valid_until_ns, signed_ms, recv_window_ms, venue_order_id,
        filled_lots, filled_quote, venue_filled_lots, reason, committed_ns, sent_ns, acked_ns, updated_ns, price, qty,
        filled_qty
    )
    SELECT
        client_order_id, %(account)s, %(session)s, symbol, run_id, owner_epoch, executor_epoch, side, type, price_ticks,
        qty_lots, purpose, strategy, status, created_ns, valid_until_ns, signed_ms, recv_window_ms, venue_order_id,
        filled_lots, filled_quote, venue_filled_lots, reason, committed_ns, sent_ns, acked_ns, updated_ns, price, qty,
        filled_qty
    FROM input, lease"""

_DECISIONS: Final = """
wrote_decisions AS (
    INSERT INTO decisions (client_order_id, pairs)
    SELECT client_order_id, decision FROM input JOIN wrote_orders USING (client_order_id) WHERE decision <> '[]'
    ON CONFLICT (client_order_id) DO NOTHING
)"""

# Rows: (is the lease held, the ids that were written). A halt that is stored refuses here, so that whoever stores one
# and reads the journal afterwards reads every order that can still go out, whatever the executor knows of the halt.
COMMIT_INTENTS: Final[LiteralString] = f"""
WITH {LEASE}, {_ORDER_INPUT}, halts AS MATERIALIZED (
    SELECT name, value FROM risk_state WHERE account = %(account)s AND kind = 'halt' AND value <> 'ACTIVE'
), wrote_orders AS (
    {_ORDER_INSERT}
    WHERE (SELECT count(*) FROM tombstones WHERE tombstones.client_order_id = input.client_order_id) = 0
        AND NOT EXISTS (
            SELECT FROM halts
            WHERE name IN ('account', 'symbol:' || input.symbol) AND (value <> 'REDUCING' OR input.purpose = 'ENTRY')
        )
    ON CONFLICT (client_order_id) DO NOTHING
    RETURNING client_order_id
), {_DECISIONS}
SELECT EXISTS (SELECT FROM lease), ARRAY(SELECT client_order_id FROM wrote_orders)"""

# An order keeps its identity, its price and its session; only what happens to it changes. A denial ends an order that
# was withheld before the socket, and never overwrites one that the venue may have (a repeated id).
_STEPS: Final = f"""
WITH {LEASE}, {_ORDER_INPUT}, wrote_orders AS (
    {_ORDER_INSERT}
    ON CONFLICT (client_order_id) DO UPDATE SET
        status = excluded.status, reason = excluded.reason, venue_order_id = excluded.venue_order_id,
        executor_epoch = excluded.executor_epoch, signed_ms = excluded.signed_ms,
        recv_window_ms = excluded.recv_window_ms, filled_lots = excluded.filled_lots, filled_qty = excluded.filled_qty,
        filled_quote = excluded.filled_quote, venue_filled_lots = excluded.venue_filled_lots,
        committed_ns = excluded.committed_ns, sent_ns = excluded.sent_ns, acked_ns = excluded.acked_ns,
        updated_ns = excluded.updated_ns
    WHERE excluded.status <> 'DENIED' OR orders.status IN ('PENDING', 'SENT', 'DENIED')
    RETURNING client_order_id
), {_DECISIONS}, wrote_events AS (
    INSERT INTO order_events (account, symbol, seq, client_order_id, kind, body, at_ns)
    SELECT %(account)s, symbol, seq, client_order_id, kind, body, at_ns
    FROM lease, jsonb_to_recordset(%(events)s::jsonb) AS rows (
        symbol text, seq bigint, client_order_id text, kind text, body jsonb, at_ns bigint
    )
)"""

# `index` is the entry's place in the batch: of several fills of a symbol, the last one's position stands.
_FILLS: Final = """
new_fills AS (
    SELECT rows.* FROM lease, jsonb_to_recordset(%(fills)s::jsonb) AS rows (
        index int, venue text, trade_id text, client_order_id text, venue_order_id text, symbol text, side text,
        price_ticks bigint, qty_lots bigint, price numeric, qty numeric, quote_qty numeric, fee numeric, fee_asset text,
        fee_rate_quote numeric, fee_rate_source text, source text, is_maker boolean, exch_ts_ns bigint,
        recv_ts_ns bigint, position_qty numeric, position_cost numeric, position_realized_pnl numeric,
        position_fees numeric, position_updated_ns bigint
    )
    -- One look into the unique index for each row, whatever the planner believed of a still empty table: a scalar
    -- subquery cannot become a join, and `|| ''` keeps the indexes of symbol and account out of the choice.
    WHERE (
        SELECT count(*) FROM fills
        WHERE fills.trade_id = rows.trade_id AND fills.venue_order_id = rows.venue_order_id
            AND fills.symbol || '' = rows.symbol AND fills.side = rows.side AND fills.account || '' = %(account)s
    ) = 0
), wrote_fills AS (
    INSERT INTO fills (
        account, session_id, venue, trade_id, client_order_id, venue_order_id, symbol, side, price_ticks, qty_lots,
        price, qty, quote_qty, fee, fee_asset, fee_rate_quote, fee_rate_source, source, is_maker, exch_ts_ns,
        recv_ts_ns, realized_pnl, fee_quote
    )
    SELECT
        %(account)s, %(session)s, venue, trade_id, client_order_id, venue_order_id, new.symbol, side, price_ticks,
        qty_lots, price, new.qty, quote_qty, fee, fee_asset, fee_rate_quote, fee_rate_source, source, is_maker,
        exch_ts_ns, recv_ts_ns,
        position_realized_pnl - lag(position_realized_pnl, 1, coalesce(before.realized_pnl, 0)) OVER in_order,
        position_fees - lag(position_fees, 1, coalesce(before.fees, 0)) OVER in_order
    FROM new_fills AS new
    LEFT JOIN positions AS before ON before.account = %(account)s AND before.symbol = new.symbol
    WINDOW in_order AS (PARTITION BY new.symbol ORDER BY index)
    ORDER BY index
), wrote_positions AS (
    INSERT INTO positions (account, symbol, qty, cost, realized_pnl, fees, updated_ns)
    SELECT DISTINCT ON (symbol)
        %(account)s, symbol, position_qty, position_cost, position_realized_pnl, position_fees, position_updated_ns
    FROM new_fills ORDER BY symbol, index DESC
    ON CONFLICT (account, symbol) DO UPDATE SET
        qty = excluded.qty, cost = excluded.cost, realized_pnl = excluded.realized_pnl, fees = excluded.fees,
        updated_ns = excluded.updated_ns
), wrote_ledger AS (
    INSERT INTO ledger (account, session_id, kind, symbol, asset, amount, client_order_id, reference, at_ns)
    SELECT
        %(account)s, %(session)s, kind, lines.symbol, asset, amount, lines.client_order_id, reference, at_ns
    FROM new_fills JOIN jsonb_to_recordset(%(ledger)s::jsonb) AS lines (
        index int, kind text, symbol text, asset text, amount numeric, client_order_id text, reference text,
        at_ns bigint
    ) USING (index)
)"""

# Rows: (is the lease held).
COMMIT_STEPS: Final[LiteralString] = f"{_STEPS} SELECT EXISTS (SELECT FROM lease)"
COMMIT_STEPS_AND_FILLS: Final[LiteralString] = f"{_STEPS}, {_FILLS} SELECT EXISTS (SELECT FROM lease)"

APPEND_LEDGER: Final[LiteralString] = f"""
WITH {LEASE}, wrote AS (
    INSERT INTO ledger (account, session_id, kind, symbol, asset, amount, client_order_id, reference, at_ns)
    SELECT %(account)s, %(session)s, kind, symbol, asset, amount, NULL, reference, at_ns
    FROM lease, jsonb_to_recordset(%(ledger)s::jsonb) AS lines (
        kind text, symbol text, asset text, amount numeric, reference text, at_ns bigint
    )
    ON CONFLICT (account, kind, asset, reference) WHERE client_order_id IS NULL DO NOTHING
    RETURNING id
), wrote_positions AS (
    INSERT INTO positions (account, symbol, qty, cost, realized_pnl, fees, updated_ns)
    SELECT %(account)s, symbol, qty, cost, realized_pnl, fees, updated_ns
    FROM jsonb_to_recordset(%(positions)s::jsonb) AS rows (
        symbol text, qty numeric, cost numeric, realized_pnl numeric, fees numeric, updated_ns bigint
    )
    WHERE EXISTS (SELECT FROM wrote)
    ON CONFLICT (account, symbol) DO UPDATE SET
        qty = excluded.qty, cost = excluded.cost, realized_pnl = excluded.realized_pnl, fees = excluded.fees,
        updated_ns = excluded.updated_ns
), wrote_pnl AS (
    INSERT INTO risk_state (account, kind, name, value, reason, updated_ns)
    SELECT %(account)s, 'pnl', 'departed', %(departed)s::text, '', (extract(epoch FROM now()) * 1e9)::bigint
    WHERE EXISTS (SELECT FROM wrote) AND %(departed)s::text IS NOT NULL
    ON CONFLICT (account, kind, name) DO UPDATE SET value = excluded.value, updated_ns = excluded.updated_ns
)
SELECT EXISTS (SELECT FROM lease)"""

BURY: Final[LiteralString] = f"""
WITH {LEASE}, wrote AS (
    INSERT INTO tombstones (client_order_id, account, symbol, at_ns)
    SELECT id, %(account)s, %(symbol)s, %(at_ns)s FROM lease, unnest(%(ids)s::text[]) AS id
    WHERE NOT EXISTS (SELECT FROM orders WHERE orders.client_order_id = id)
    ON CONFLICT (client_order_id) DO NOTHING
)
SELECT EXISTS (SELECT FROM lease)"""

SAVE_BALANCES: Final[LiteralString] = f"""
WITH {LEASE}, wrote AS (
    INSERT INTO balances (account, asset, free, locked, exch_ts_ns, recv_ts_ns)
    SELECT %(account)s, asset, free, locked, exch_ts_ns, recv_ts_ns
    FROM lease, jsonb_to_recordset(%(balances)s::jsonb) AS rows (
        asset text, free numeric, locked numeric, exch_ts_ns bigint, recv_ts_ns bigint
    )
    ON CONFLICT (account, asset) DO UPDATE SET
        free = excluded.free, locked = excluded.locked, exch_ts_ns = excluded.exch_ts_ns,
        recv_ts_ns = excluded.recv_ts_ns
)
SELECT EXISTS (SELECT FROM lease)"""

SAVE_RISK: Final[LiteralString] = f"""
WITH {LEASE}, wrote AS (
    INSERT INTO risk_state (account, kind, name, value, reason, updated_ns)
    SELECT %(account)s, kind, name, value, '', %(at_ns)s
    FROM lease, unnest(%(kinds)s::text[], %(names)s::text[], %(values)s::text[]) AS rows (kind, name, value)
    ON CONFLICT (account, kind, name) DO UPDATE SET value = excluded.value, updated_ns = excluded.updated_ns
)
SELECT EXISTS (SELECT FROM lease)"""

SAVE_EQUITY: Final[LiteralString] = f"""
WITH {LEASE}, wrote AS (
    INSERT INTO equity (account, session_id, net_pnl, realized, unrealized, fees, exposure, at_ns)
    SELECT
        %(account)s, %(session)s, %(net_pnl)s::numeric, %(realized)s::numeric, %(unrealized)s::numeric,
        %(fees)s::numeric, %(exposure)s::numeric, %(at_ns)s::bigint
    FROM lease
)
SELECT EXISTS (SELECT FROM lease)"""

# --- leases: no row comes back when it is not ours to take, extend or use ------------------------------------------

ACQUIRE_LEASE: Final[LiteralString] = """
INSERT INTO leases AS held (name, epoch, owner, acquired_at, expires_at)
VALUES (%(lease)s, 1, %(owner)s, clock_timestamp(), clock_timestamp() + %(ttl_s)s * interval '1 second')
ON CONFLICT (name) DO UPDATE SET
    epoch = held.epoch + 1, owner = excluded.owner, acquired_at = excluded.acquired_at, expires_at = excluded.expires_at
WHERE held.expires_at <= clock_timestamp() OR (held.owner = %(heir_of)s AND held.owner <> '')
RETURNING epoch"""

READ_LEASE_OWNER: Final[LiteralString] = "SELECT owner FROM leases WHERE name = %(lease)s"

READ_LEASE_HOLDER: Final[LiteralString] = """
SELECT owner FROM leases WHERE name = %(lease)s AND expires_at > clock_timestamp()"""

# A lease that lapsed while nobody took it may go on: no other writer was there.
RENEW_LEASE: Final[LiteralString] = """
UPDATE leases SET expires_at = clock_timestamp() + %(ttl_s)s * interval '1 second'
WHERE name = %(lease)s AND epoch = %(epoch)s AND owner = %(owner)s
RETURNING epoch"""

RELEASE_LEASE: Final[LiteralString] = """
UPDATE leases SET expires_at = clock_timestamp(), owner = ''
WHERE name = %(lease)s AND epoch = %(epoch)s AND owner = %(owner)s"""

# Never below the time in ms: order ids carry it, and a new or restored database must not repeat those of another one.
NEXT_SYMBOL_EPOCH: Final[LiteralString] = f"""
WITH {LEASE}
INSERT INTO leases AS held (name, epoch, owner, acquired_at, expires_at)
SELECT
    %(symbol_lease)s, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, %(symbol_owner)s, clock_timestamp(), NULL
FROM lease
ON CONFLICT (name) DO UPDATE SET
    epoch = greatest(held.epoch + 1, excluded.epoch), owner = excluded.owner, acquired_at = excluded.acquired_at
RETURNING epoch"""

# --- reads ---------------------------------------------------------------------------------------------------------

_ORDERS: Final = """
SELECT
    client_order_id, symbol, run_id, owner_epoch, executor_epoch, side, type, price_ticks, qty_lots, purpose, strategy,
    status, created_ns, valid_until_ns, signed_ms, recv_window_ms, venue_order_id, filled_lots, filled_quote,
    venue_filled_lots, reason, committed_ns, sent_ns, acked_ns, updated_ns, pairs
FROM orders LEFT JOIN decisions USING (client_order_id)"""

READ_UNFINISHED: Final[LiteralString] = f"""{_ORDERS}
WHERE account = %(account)s AND status IN ('PENDING', 'SENT', 'UNKNOWN', 'OPEN', 'PARTIALLY_FILLED', 'CANCELLING')
ORDER BY created_ns, client_order_id"""

# Over, but short of executions that the venue has told of. Back as far as the venue lists finished orders: 7 days.
READ_SHORT: Final[LiteralString] = f"""{_ORDERS}
WHERE account = %(account)s AND venue_filled_lots > filled_lots
    AND status NOT IN ('PENDING', 'SENT', 'UNKNOWN', 'OPEN', 'PARTIALLY_FILLED', 'CANCELLING')
    AND created_ns >= (extract(epoch FROM clock_timestamp() - interval '7 days') * 1000000000)::bigint
ORDER BY created_ns, client_order_id"""

READ_ORDERS: Final[LiteralString] = f"""{_ORDERS}
WHERE client_order_id = ANY(%(ids)s::text[]) AND account = %(account)s ORDER BY created_ns"""

READ_POSITIONS: Final[LiteralString] = """
SELECT symbol, qty, cost, realized_pnl, fees, updated_ns FROM positions WHERE account = %(account)s ORDER BY symbol"""

# Steps from symbol to symbol through the unique index, instead of reading every event there ever was.
READ_LAST_SEQ: Final[LiteralString] = """
WITH RECURSIVE known AS (
    (SELECT symbol FROM order_events WHERE account = %(account)s ORDER BY symbol LIMIT 1)
    UNION ALL
    SELECT (
        SELECT symbol FROM order_events WHERE account = %(account)s AND symbol > known.symbol ORDER BY symbol LIMIT 1
    ) FROM known WHERE known.symbol IS NOT NULL
)
SELECT symbol, (SELECT max(seq) FROM order_events AS e WHERE e.account = %(account)s AND e.symbol = known.symbol)
FROM known WHERE symbol IS NOT NULL"""

READ_RISK: Final[LiteralString] = """
SELECT name, value, reason FROM risk_state WHERE account = %(account)s AND kind = %(kind)s ORDER BY name"""

READ_INSTRUMENTS: Final[LiteralString] = """
SELECT
    symbol, base, quote, tick_size, lot_size, min_qty, min_notional, max_notional, maker_fee_rate, taker_fee_rate,
    exclusion
FROM instruments WHERE account = %(account)s ORDER BY symbol"""

READ_BALANCES: Final[LiteralString] = """
SELECT asset, free, locked, exch_ts_ns, recv_ts_ns FROM balances WHERE account = %(account)s ORDER BY asset"""

READ_LEDGER_TOTALS: Final[LiteralString] = """
SELECT asset, sum(amount) FROM ledger WHERE account = %(account)s GROUP BY asset ORDER BY asset"""

READ_HAS_OPENING: Final[LiteralString] = """
SELECT EXISTS (SELECT FROM ledger WHERE account = %(account)s AND kind = 'opening')"""

READ_SYMBOL_EPOCHS: Final[LiteralString] = """
SELECT substr(name, length(%(prefix)s::text) + 1), epoch
FROM leases WHERE starts_with(name, %(prefix)s) ORDER BY name"""

DAY_START_NS: Final[LiteralString] = """
SELECT extract(epoch FROM date_trunc('day', clock_timestamp() AT TIME ZONE 'UTC'))::bigint * 1000000000"""

READ_TODAY: Final[LiteralString] = """
SELECT coalesce(sum(realized_pnl), 0), coalesce(sum(fee_quote), 0) FROM fills
WHERE account = %(account)s AND recv_ts_ns >= %(day_start_ns)s"""

_EQUITY: Final = "SELECT at_ns, net_pnl, realized, unrealized, fees, exposure FROM equity WHERE account = %(account)s"

READ_DAY_OPEN: Final[LiteralString] = f"""
(SELECT * FROM ({_EQUITY} AND at_ns < %(day_start_ns)s ORDER BY at_ns DESC LIMIT 1) AS before)
UNION ALL
(SELECT * FROM ({_EQUITY} AND at_ns >= %(day_start_ns)s ORDER BY at_ns LIMIT 1) AS since)
LIMIT 1"""

READ_PEAK: Final[LiteralString] = """
SELECT max(net_pnl) FROM equity WHERE account = %(account)s AND at_ns >= %(since_ns)s"""

READ_EVENTS: Final[LiteralString] = """
SELECT seq, kind, body FROM order_events
WHERE account = %(account)s AND symbol = %(symbol)s AND seq > %(seq)s ORDER BY seq LIMIT %(limit)s"""

READ_FILLS: Final[LiteralString] = """
SELECT
    venue, trade_id, client_order_id, venue_order_id, symbol, side, price_ticks, qty_lots, quote_qty, fee, fee_asset,
    is_maker, exch_ts_ns, recv_ts_ns, fee_rate_quote, fee_rate_source, source
FROM fills WHERE client_order_id = %(client_order_id)s ORDER BY id"""

# --- writes that need no lease -------------------------------------------------------------------------------------

UNDER_WAY: Final = "under way"
# What a write that may replace at most ACTIVE, or at most REDUCING, finds in the rows that it may change.
REPLACEABLE: Final = {"ACTIVE": ["ACTIVE", "over"], "REDUCING": ["ACTIVE", "REDUCING", "over", UNDER_WAY]}

# One statement, so that a death in between cannot leave a halt whose sale is forgotten. `over`: the stored values that
# it may replace, NULL for any.
SAVE_HALT: Final[LiteralString] = """
INSERT INTO risk_state (account, kind, name, value, reason, updated_ns)
VALUES
    (%(account)s, 'flatten', %(scope)s, %(flatten)s, %(reason)s, %(at_ns)s),
    (%(account)s, 'halt', %(scope)s, %(state)s, %(reason)s, %(at_ns)s)
ON CONFLICT (account, kind, name) DO UPDATE SET
    value = excluded.value, reason = excluded.reason, updated_ns = excluded.updated_ns
WHERE %(over)s::text[] IS NULL OR risk_state.value = ANY(%(over)s)
RETURNING kind"""

# A flatten is under way while its scope is REDUCING: a halt that came between ends it.
READ_FLATTENING: Final[LiteralString] = """
SELECT sale.name
FROM risk_state AS sale
JOIN risk_state AS halt ON halt.account = sale.account AND halt.kind = 'halt' AND halt.name = sale.name
WHERE sale.account = %(account)s AND sale.kind = 'flatten' AND sale.value = %(under_way)s AND halt.value = 'REDUCING'
ORDER BY sale.name"""

RAISE_ALERT: Final[LiteralString] = """
INSERT INTO alerts (account, session_id, level, name, text, symbol, at_ns)
VALUES (%(account)s, %(session)s, %(level)s, %(name)s, %(text)s, %(symbol)s, %(at_ns)s)"""

SAVE_INSTRUMENT: Final[LiteralString] = """
INSERT INTO instruments (
    account, symbol, base, quote, tick_size, lot_size, min_qty, min_notional, max_notional, maker_fee_rate,
    taker_fee_rate, exclusion, updated_ns
)
SELECT
    %(account)s, symbol, base, quote, tick_size, lot_size, min_qty, min_notional, max_notional, maker_fee_rate,
    taker_fee_rate, exclusion, %(at_ns)s
FROM jsonb_to_recordset(%(instruments)s::jsonb) AS rows (
    symbol text, base text, quote text, tick_size numeric, lot_size numeric, min_qty numeric, min_notional numeric,
    max_notional numeric, maker_fee_rate numeric, taker_fee_rate numeric, exclusion text
)
ON CONFLICT (account, symbol) DO UPDATE SET
    base = excluded.base, quote = excluded.quote, tick_size = excluded.tick_size, lot_size = excluded.lot_size,
    min_qty = excluded.min_qty, min_notional = excluded.min_notional, max_notional = excluded.max_notional,
    maker_fee_rate = excluded.maker_fee_rate, taker_fee_rate = excluded.taker_fee_rate,
    exclusion = excluded.exclusion, updated_ns = excluded.updated_ns"""
