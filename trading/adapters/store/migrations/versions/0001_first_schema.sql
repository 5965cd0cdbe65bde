-- The first schema. What the columns mean is written in tables.py and fleet_tables.py.

CREATE TABLE alerts (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    account TEXT NOT NULL,
    session_id TEXT,
    level TEXT NOT NULL,
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    symbol TEXT,
    at_ns BIGINT NOT NULL,
    at TIMESTAMP WITH TIME ZONE GENERATED ALWAYS AS (to_timestamp(((at_ns)::double precision / '1000000000'::double precision))) STORED,
    CONSTRAINT alerts_pkey PRIMARY KEY (id)
);
CREATE INDEX alerts_at_ns_id_idx ON alerts (at_ns, id);

CREATE TABLE audit (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    account TEXT NOT NULL,
    session_id TEXT,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    symbol TEXT,
    detail JSONB NOT NULL,
    at_ns BIGINT NOT NULL,
    at TIMESTAMP WITH TIME ZONE GENERATED ALWAYS AS (to_timestamp(((at_ns)::double precision / '1000000000'::double precision))) STORED,
    CONSTRAINT audit_pkey PRIMARY KEY (id)
);
CREATE INDEX audit_at_ns_id_idx ON audit (at_ns, id);

CREATE TABLE balances (
    account TEXT NOT NULL,
    asset TEXT NOT NULL,
    free NUMERIC NOT NULL,
    locked NUMERIC NOT NULL,
    exch_ts_ns BIGINT NOT NULL,
    recv_ts_ns BIGINT NOT NULL,
    CONSTRAINT balances_pkey PRIMARY KEY (account, asset)
);

CREATE TABLE idempotency_keys (
    key TEXT NOT NULL,
    body_hash TEXT NOT NULL,
    status_code INTEGER,
    response JSONB,
    created_ns BIGINT NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (key)
);
CREATE INDEX idempotency_keys_created_ns_idx ON idempotency_keys (created_ns);

CREATE TABLE instruments (
    account TEXT NOT NULL,
    symbol TEXT NOT NULL,
    base TEXT NOT NULL,
    quote TEXT NOT NULL,
    tick_size NUMERIC NOT NULL,
    lot_size NUMERIC NOT NULL,
    min_qty NUMERIC NOT NULL,
    min_notional NUMERIC NOT NULL,
    max_notional NUMERIC NOT NULL,
    maker_fee_rate NUMERIC NOT NULL,
    taker_fee_rate NUMERIC NOT NULL,
    exclusion TEXT,
    updated_ns BIGINT NOT NULL,
    CONSTRAINT instruments_pkey PRIMARY KEY (account, symbol)
);

CREATE TABLE leases (
    name TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    owner TEXT NOT NULL,
    acquired_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT leases_pkey PRIMARY KEY (name)
);

CREATE TABLE order_events (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    account TEXT NOT NULL,
    symbol TEXT NOT NULL,
    seq BIGINT NOT NULL,
    client_order_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    body JSONB NOT NULL,
    at_ns BIGINT NOT NULL,
    CONSTRAINT order_events_pkey PRIMARY KEY (id),
    CONSTRAINT order_events_account_symbol_seq_key UNIQUE (account, symbol, seq)
);
CREATE INDEX order_events_client_order_id_idx ON order_events (client_order_id);

CREATE TABLE positions (
    account TEXT NOT NULL,
    symbol TEXT NOT NULL,
    qty NUMERIC NOT NULL,
    cost NUMERIC NOT NULL,
    realized_pnl NUMERIC NOT NULL,
    fees NUMERIC NOT NULL,
    updated_ns BIGINT NOT NULL,
    CONSTRAINT positions_pkey PRIMARY KEY (account, symbol)
);

CREATE TABLE risk_state (
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    reason TEXT NOT NULL,
    updated_ns BIGINT NOT NULL,
    CONSTRAINT risk_state_pkey PRIMARY KEY (account, kind, name)
);

CREATE TABLE sessions (
    session_id TEXT NOT NULL,
    account TEXT NOT NULL,
    mode TEXT NOT NULL,
    venue TEXT NOT NULL,
    settings JSONB NOT NULL,
    pid INTEGER NOT NULL,
    started_ns BIGINT NOT NULL,
    ended_ns BIGINT,
    end_reason TEXT DEFAULT '' NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE GENERATED ALWAYS AS (to_timestamp(((started_ns)::double precision / '1000000000'::double precision))) STORED,
    CONSTRAINT sessions_pkey PRIMARY KEY (session_id)
);
CREATE INDEX sessions_account_started_ns_session_id_idx ON sessions (account, started_ns, session_id);

CREATE TABLE tombstones (
    client_order_id TEXT NOT NULL,
    account TEXT NOT NULL,
    symbol TEXT NOT NULL,
    at_ns BIGINT NOT NULL,
    CONSTRAINT tombstones_pkey PRIMARY KEY (client_order_id)
);

CREATE TABLE desired_symbols (
    session_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    desired TEXT NOT NULL,
    strategy TEXT NOT NULL,
    params JSONB NOT NULL,
    is_flatten BOOLEAN NOT NULL,
    updated_ns BIGINT NOT NULL,
    CONSTRAINT desired_symbols_pkey PRIMARY KEY (session_id, symbol),
    CONSTRAINT desired_symbols_session_id_fkey FOREIGN KEY(session_id) REFERENCES sessions (session_id)
);

CREATE TABLE equity (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    account TEXT NOT NULL,
    session_id TEXT NOT NULL,
    net_pnl NUMERIC NOT NULL,
    realized NUMERIC NOT NULL,
    unrealized NUMERIC NOT NULL,
    fees NUMERIC NOT NULL,
    exposure NUMERIC NOT NULL,
    at_ns BIGINT NOT NULL,
    at TIMESTAMP WITH TIME ZONE GENERATED ALWAYS AS (to_timestamp(((at_ns)::double precision / '1000000000'::double precision))) STORED,
    CONSTRAINT equity_pkey PRIMARY KEY (id),
    CONSTRAINT equity_session_id_fkey FOREIGN KEY(session_id) REFERENCES sessions (session_id)
);
CREATE INDEX equity_account_at_ns_idx ON equity (account, at_ns);
CREATE INDEX equity_account_net_pnl_idx ON equity (account, net_pnl);

CREATE TABLE ledger (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    account TEXT NOT NULL,
    session_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    symbol TEXT NOT NULL,
    asset TEXT NOT NULL,
    amount NUMERIC NOT NULL,
    client_order_id TEXT,
    reference TEXT NOT NULL,
    at_ns BIGINT NOT NULL,
    at TIMESTAMP WITH TIME ZONE GENERATED ALWAYS AS (to_timestamp(((at_ns)::double precision / '1000000000'::double precision))) STORED,
    CONSTRAINT ledger_pkey PRIMARY KEY (id),
    CONSTRAINT ledger_session_id_fkey FOREIGN KEY(session_id) REFERENCES sessions (session_id)
);
CREATE INDEX ledger_account_asset_idx ON ledger (account, asset);
CREATE UNIQUE INDEX ledger_standing_key ON ledger (account, kind, asset, reference) WHERE client_order_id IS NULL;

CREATE TABLE operations (
    operation_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    symbols JSONB NOT NULL,
    status TEXT NOT NULL,
    error TEXT,
    created_ns BIGINT NOT NULL,
    updated_ns BIGINT NOT NULL,
    CONSTRAINT operations_pkey PRIMARY KEY (operation_id),
    CONSTRAINT operations_session_id_fkey FOREIGN KEY(session_id) REFERENCES sessions (session_id)
);
CREATE INDEX operations_session_id_created_ns_idx ON operations (session_id, created_ns);

CREATE TABLE orders (
    client_order_id TEXT NOT NULL,
    account TEXT NOT NULL,
    session_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    owner_epoch BIGINT NOT NULL,
    executor_epoch BIGINT NOT NULL,
    side TEXT NOT NULL,
    type TEXT NOT NULL,
    purpose TEXT NOT NULL,
    strategy TEXT NOT NULL,
    price_ticks BIGINT NOT NULL,
    qty_lots BIGINT NOT NULL,
    price NUMERIC NOT NULL,
    qty NUMERIC NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    venue_order_id TEXT NOT NULL,
    filled_lots BIGINT NOT NULL,
    filled_qty NUMERIC NOT NULL,
    filled_quote NUMERIC NOT NULL,
    venue_filled_lots BIGINT NOT NULL,
    created_ns BIGINT NOT NULL,
    valid_until_ns BIGINT NOT NULL,
    signed_ms BIGINT NOT NULL,
    recv_window_ms INTEGER NOT NULL,
    committed_ns BIGINT NOT NULL,
    sent_ns BIGINT NOT NULL,
    acked_ns BIGINT NOT NULL,
    updated_ns BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE GENERATED ALWAYS AS (to_timestamp(((created_ns)::double precision / '1000000000'::double precision))) STORED,
    CONSTRAINT orders_pkey PRIMARY KEY (client_order_id),
    CONSTRAINT orders_session_id_fkey FOREIGN KEY(session_id) REFERENCES sessions (session_id)
);
CREATE INDEX orders_account_created_ns_client_order_id_idx ON orders (account, created_ns, client_order_id);
CREATE INDEX orders_session_id_created_ns_client_order_id_idx ON orders (session_id, created_ns, client_order_id);
CREATE INDEX orders_symbol_created_ns_client_order_id_idx ON orders (symbol, created_ns, client_order_id);
CREATE INDEX orders_unfinished_idx ON orders (account, symbol) WHERE status IN ('PENDING', 'SENT', 'UNKNOWN', 'OPEN', 'PARTIALLY_FILLED', 'CANCELLING');

CREATE TABLE symbol_runs (
    run_id TEXT NOT NULL,
    run_number BIGINT GENERATED BY DEFAULT AS IDENTITY,
    session_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT DEFAULT '' NOT NULL,
    strategy TEXT NOT NULL,
    params JSONB NOT NULL,
    restarts INTEGER DEFAULT '0' NOT NULL,
    epoch BIGINT DEFAULT '0' NOT NULL,
    created_ns BIGINT NOT NULL,
    updated_ns BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE GENERATED ALWAYS AS (to_timestamp(((created_ns)::double precision / '1000000000'::double precision))) STORED,
    CONSTRAINT symbol_runs_pkey PRIMARY KEY (run_id),
    CONSTRAINT symbol_runs_run_number_key UNIQUE (run_number),
    CONSTRAINT symbol_runs_session_id_fkey FOREIGN KEY(session_id) REFERENCES sessions (session_id)
);
CREATE INDEX symbol_runs_session_id_symbol_run_number_idx ON symbol_runs (session_id, symbol, run_number);

CREATE TABLE decisions (
    client_order_id TEXT NOT NULL,
    pairs JSONB NOT NULL,
    CONSTRAINT decisions_pkey PRIMARY KEY (client_order_id),
    CONSTRAINT decisions_client_order_id_fkey FOREIGN KEY(client_order_id) REFERENCES orders (client_order_id)
);

CREATE TABLE fills (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    account TEXT NOT NULL,
    session_id TEXT NOT NULL,
    venue TEXT NOT NULL,
    trade_id TEXT NOT NULL,
    client_order_id TEXT NOT NULL,
    venue_order_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    side TEXT NOT NULL,
    price_ticks BIGINT NOT NULL,
    qty_lots BIGINT NOT NULL,
    price NUMERIC NOT NULL,
    qty NUMERIC NOT NULL,
    quote_qty NUMERIC NOT NULL,
    fee NUMERIC NOT NULL,
    fee_asset TEXT NOT NULL,
    fee_rate_quote NUMERIC,
    fee_rate_source TEXT NOT NULL,
    is_maker BOOLEAN NOT NULL,
    realized_pnl NUMERIC NOT NULL,
    fee_quote NUMERIC NOT NULL,
    exch_ts_ns BIGINT NOT NULL,
    recv_ts_ns BIGINT NOT NULL,
    at TIMESTAMP WITH TIME ZONE GENERATED ALWAYS AS (to_timestamp(((recv_ts_ns)::double precision / '1000000000'::double precision))) STORED,
    CONSTRAINT fills_pkey PRIMARY KEY (id),
    CONSTRAINT fills_identity_key UNIQUE (trade_id, venue_order_id, symbol, side, account),
    CONSTRAINT fills_session_id_fkey FOREIGN KEY(session_id) REFERENCES sessions (session_id),
    CONSTRAINT fills_client_order_id_fkey FOREIGN KEY(client_order_id) REFERENCES orders (client_order_id)
);
CREATE INDEX fills_account_recv_ts_ns_id_idx ON fills (account, recv_ts_ns, id);
CREATE INDEX fills_client_order_id_idx ON fills (client_order_id);
CREATE INDEX fills_session_id_recv_ts_ns_id_idx ON fills (session_id, recv_ts_ns, id);
CREATE INDEX fills_symbol_recv_ts_ns_id_idx ON fills (symbol, recv_ts_ns, id);

CREATE TABLE run_events (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    run_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    event TEXT NOT NULL,
    state TEXT NOT NULL,
    detail TEXT DEFAULT '' NOT NULL,
    at_ns BIGINT NOT NULL,
    at TIMESTAMP WITH TIME ZONE GENERATED ALWAYS AS (to_timestamp(((at_ns)::double precision / '1000000000'::double precision))) STORED,
    CONSTRAINT run_events_pkey PRIMARY KEY (id),
    CONSTRAINT run_events_run_id_fkey FOREIGN KEY(run_id) REFERENCES symbol_runs (run_id)
);
CREATE INDEX run_events_run_id_idx ON run_events (run_id);
CREATE INDEX run_events_symbol_at_ns_id_idx ON run_events (symbol, at_ns, id);

-- A run's number is part of its order ids, and the venue remembers ids for longer than a database may live: numbers of a
-- schema made anew begin above those of its predecessor (seconds since 2024-01-01 grow faster than runs are started).
SELECT setval(
    pg_get_serial_sequence('symbol_runs', 'run_number'),
    extract(epoch FROM now() - timestamptz '2024-01-01 00:00:00+00')::bigint
);
