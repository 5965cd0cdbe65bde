"""The SQL that holds the stored books against each other (promise 8). Imports nothing of ours."""

from __future__ import annotations

from typing import Final, LiteralString

# Rows: (what, of what, stored, made of its parts), of everything that does not hold. One statement is one snapshot.
AUDIT: Final[LiteralString] = """
WITH own AS (
    SELECT fills.*, base, quote FROM fills JOIN instruments USING (account, symbol) WHERE account = %(account)s
), flows AS (
    SELECT
        symbol,
        sum(CASE side WHEN 'BUY' THEN qty ELSE -qty END) - sum(CASE fee_asset WHEN base THEN fee ELSE 0 END) AS base,
        sum(CASE side WHEN 'BUY' THEN -quote_qty ELSE quote_qty END)
            - sum(CASE fee_asset WHEN quote THEN fee ELSE 0 END) AS quote,
        sum(CASE WHEN fee_asset IN (base, quote) THEN 0 ELSE fee END) AS others,
        sum(CASE WHEN fee_asset IN (base, quote) THEN fee_quote ELSE 0 END) AS own_fees,
        sum(fee_quote) AS fees,
        sum(realized_pnl) AS realized
    FROM own GROUP BY symbol
), moved AS (
    SELECT
        symbol,
        sum(amount) FILTER (WHERE asset = base AND kind IN ('trade', 'fee')) AS base,
        sum(amount) FILTER (WHERE asset = quote AND kind IN ('trade', 'fee')) AS quote,
        sum(amount) FILTER (WHERE asset NOT IN (base, quote) AND kind = 'fee') AS others,
        sum(amount) FILTER (WHERE asset = base AND kind = 'adjustment') AS adjusted
    FROM ledger JOIN instruments USING (account, symbol) WHERE account = %(account)s GROUP BY symbol
), symbols AS (
    SELECT
        symbol, coalesce(qty, 0) AS qty, coalesce(positions.fees, 0) AS fees, coalesce(realized_pnl, 0) AS realized,
        coalesce(cost, 0) AS cost, coalesce(own_fees, 0) AS own_fees,
        coalesce(flows.others, 0) AS others_made, coalesce(moved.others, 0) AS others_moved,
        coalesce(flows.base, 0) AS base_made, coalesce(flows.quote, 0) AS quote_made,
        coalesce(flows.fees, 0) AS fees_made, coalesce(flows.realized, 0) AS realized_made,
        coalesce(moved.base, 0) AS base_moved, coalesce(moved.quote, 0) AS quote_moved,
        coalesce(adjusted, 0) AS adjusted
    FROM (SELECT * FROM positions WHERE account = %(account)s) AS positions
    FULL JOIN flows USING (symbol) FULL JOIN moved USING (symbol)
), of_orders AS (
    SELECT client_order_id, sum(qty_lots) AS lots FROM own GROUP BY client_order_id
)
SELECT what, of, stored::text, made::text FROM (
    SELECT 'position' AS what, symbol AS of, qty AS stored, base_made + adjusted AS made FROM symbols
    UNION ALL SELECT 'fees', symbol, fees, fees_made FROM symbols
    UNION ALL SELECT 'realized P&L', symbol, realized, realized_made FROM symbols
    -- What coins cost that left by no order of ours went with them, and is written down nowhere else.
    UNION ALL SELECT 'cost', symbol, cost, realized - own_fees - quote_made FROM symbols WHERE adjusted = 0
    UNION ALL SELECT 'ledger in other assets', symbol, others_moved, -others_made FROM symbols
    UNION ALL SELECT 'ledger in base', symbol, base_moved, base_made FROM symbols
    UNION ALL SELECT 'ledger in quote', symbol, quote_moved, quote_made FROM symbols
    UNION ALL SELECT 'order', client_order_id, filled_lots, coalesce(lots, 0)
        FROM (SELECT * FROM orders WHERE account = %(account)s AND filled_lots > 0) AS orders
        FULL JOIN of_orders USING (client_order_id)
    UNION ALL SELECT 'order beyond its quantity', client_order_id, filled_lots, qty_lots
        FROM orders WHERE account = %(account)s AND filled_lots > qty_lots
) AS equations
WHERE stored IS DISTINCT FROM made ORDER BY what, of LIMIT 20"""
