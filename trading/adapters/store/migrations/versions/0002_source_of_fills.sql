ALTER TABLE fills ADD COLUMN source TEXT NOT NULL DEFAULT '';
-- Paper executions are named after their order, those of my-trades are 32 hex digits, those of the stream neither.
UPDATE fills SET source = CASE
    WHEN starts_with(trade_id, client_order_id || '.') THEN 'paper'
    WHEN trade_id ~ '^[0-9a-fA-F]{32}$' THEN 'rest'
    ELSE 'stream'
END;
