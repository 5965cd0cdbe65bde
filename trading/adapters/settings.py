"""Settings: every knob of an instance, read once at the edge. May import pydantic-settings and `trading.model`.

Precedence: overrides (command-line flags), then the environment (`MEXCBOT_…`), then `.env`, then defaults. Only CLI,
launcher, API and actor construction import this module; symbol actors are given plain frozen dataclasses.
`python -m trading.adapters.settings > .env.example` writes the example file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from trading.adapters.credentials import Credentials, read_key_file, require_private
from trading.adapters.settings_text import (
    ENV_PREFIX,
    Amounts,
    Assignments,
    DatabaseUrl,
    HttpUrl,
    Names,
    WebsocketUrl,
    check_names,
    example_text,
    is_loopback,
    masked_values,
    secrets_in_env_file,
    sentence,
)
from trading.model.errors import ConfigError, Refused
from trading.model.session import Mode, VenueName

MEXC_REST = "https://api.mexc.com"
MEXC_WS = "wss://wbs-api.mexc.com/ws"


class Settings(BaseSettings):
    """One instance's settings. Frozen; secrets and the database's password never show in a repr (print `masked()`)."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_ignore_empty=True,
        dotenv_filtering="only_existing",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=False,
    )

    # --- what to trade, and where
    venue: VenueName = Field(
        VenueName.SIM, description="Where market data and live orders go: sim (the local exchange) or mexc."
    )
    mode: Mode = Field(
        Mode.PAPER, description="paper: orders meet the recorded market beside the data; live: orders go to the venue."
    )
    symbols: Names = Field(
        (), description="Symbols to trade, separated by commas, e.g. BTCUSDT,ETHUSDT. Not together with count."
    )
    count: int | None = Field(
        None,
        ge=1,
        le=2_000,
        description="Trade the first N symbols of the simulator (5 when symbols are not named either).",
    )
    strategy: str = Field("spread_capture", min_length=1, description="The strategy's registered name.")
    strategy_params: Assignments = Field(
        {}, description="Strategy parameters as name=value,name=value. Flags (--set) replace them all."
    )
    seed: int = Field(
        1, ge=0, le=2**63 - 1, description="Seed of the generated market and of every draw of the engine."
    )
    replay: Path | None = Field(
        None, description="A recording that the simulator replays instead of generating a market."
    )
    speed: float = Field(
        1.0,
        gt=0,
        le=10_000,
        allow_inf_nan=False,
        description="How many times faster than real time a recording is replayed.",
    )
    record: bool = Field(False, description="Record every frame of the traded symbols under the data directory.")
    depth_interval: Literal["10ms", "100ms"] = Field("100ms", description="Cadence of the market streams.")

    # --- money
    quote_asset: str = Field(
        "USDT",
        min_length=1,
        description="The reporting asset: every P&L figure is in it; symbols must be quoted in it.",
    )
    paper_balances: Amounts = Field(
        {"USDT": Decimal(10_000)}, description="Opening balances of the paper account, as ASSET=amount,ASSET=amount."
    )
    paper_latency_ms: str = Field(
        "10/15/15",
        description="Latency of paper fills and replays, feed/entry/response in ms; a leg of several numbers, such as "
        "10/12,15,40/15, is drawn from them.",
    )
    paper_queue_power: float | None = Field(
        None,
        gt=0,
        le=64,
        description="The probabilistic queue's n, as mexcbot shadow measured it live: a cancel was behind us with the "
        "chance 1 - (F/(F+B))^n. Empty: ln(1+B)/(ln(1+B)+ln(1+F)).",
    )
    allocation: Decimal = Field(Decimal(200), gt=0, description="Most that one symbol may hold, in quote units.")
    risk_limits: Assignments = Field(
        {},
        description="Account limits of a new database as name=value,…; a running system changes them through the API.",
    )

    # --- addresses
    data_dir: Path = Field(
        Path(".mexcbot"), description="Where this instance keeps its database, logs, recordings and run file."
    )
    database_url: DatabaseUrl | None = Field(
        None,
        repr=False,
        description="A Postgres server, postgresql://user:password@host:port/name. Empty: the embedded one.",
    )
    ray_address: str | None = Field(
        None, min_length=1, description="An existing Ray cluster, host:port or auto. Empty: a local Ray."
    )
    venue_rest: HttpUrl | None = Field(
        None, description="REST base URL of the venue, e.g. a running simulator's. With venue_ws, or neither."
    )
    venue_ws: WebsocketUrl | None = Field(None, description="WebSocket URL of the venue. With venue_rest, or neither.")
    venue_time_scale: float = Field(
        1.0,
        gt=0,
        le=100,
        allow_inf_nan=False,
        description="How many times sooner the venue's 60 s, 60 min and 24 h rules strike: a simulator's --time-scale.",
    )
    api_port: int = Field(8000, ge=0, le=65_535, description="Port of the API on 127.0.0.1; 0 takes any free one.")
    dashboard: bool = Field(True, description="Start the dashboard.")
    dashboard_port: int = Field(
        8501, ge=0, le=65_535, description="Port of the dashboard on 127.0.0.1; 0 takes any free one."
    )

    # --- live trading
    api_key: SecretStr | None = Field(
        None, min_length=1, description="MEXC API key (live mode). Here, in the environment, or in key_file."
    )
    api_secret: SecretStr | None = Field(
        None, min_length=1, description="Its secret. A file that holds it must have mode 0600."
    )
    key_file: Path | None = Field(None, description="A file of mode 0600 with the lines api_key=… and api_secret=….")
    arm_live: bool = Field(
        False,
        description="Live orders on MEXC are sent only when this is true. Implied on a simulator of this machine.",
    )

    # --- time
    request_timeout_s: float = Field(
        5.0,
        gt=0,
        le=60,
        allow_inf_nan=False,
        description="Longest wait for one REST answer; an order without one is UNKNOWN.",
    )
    connect_timeout_s: float = Field(
        3.0, gt=0, le=60, allow_inf_nan=False, description="Longest wait for a connection."
    )
    # Promise 4: a late sender is refused by the venue itself, so the window is short.
    recv_window_ms: int = Field(
        2_000, ge=100, le=2_000, description="How long after signing the venue may still take a request."
    )
    drain_timeout_s: float = Field(
        20.0, gt=0, le=600, allow_inf_nan=False, description="Longest orderly stop of a symbol before it is killed."
    )
    halt_timeout_s: float = Field(
        30.0,
        gt=0,
        le=600,
        allow_inf_nan=False,
        description="Longest wait for the venue to confirm a halt before NOT CONFIRMED.",
    )
    lease_ttl_s: float = Field(
        6.0, ge=2, le=60, allow_inf_nan=False, description="How long a silent executor keeps its right to send."
    )

    # --- budgets. MEXC's effective limits are 12 orders/s and 20 requests/s an account (mexc-protocol §5): stay below.
    order_rate: float = Field(
        10.0, gt=0, le=1_000, allow_inf_nan=False, description="Orders and cancels a second, in total."
    )
    request_rate: float = Field(
        12.0, gt=0, le=10_000, allow_inf_nan=False, description="Signed requests a second, in total."
    )
    ip_request_rate: float = Field(
        15.0, gt=0, le=10_000, allow_inf_nan=False, description="Public requests a second from one node's address."
    )

    # --- policies
    orphan_policy: Literal["cancel", "adopt", "leave"] = Field(
        "cancel",
        description="What becomes of open orders with our prefix that no journal row explains; always reported. "
        "adopt: they get a row, what they executed is booked, and they are ours; what cannot be is cancelled. "
        "leave: until a halt, which ends everything under our prefix.",
    )

    # --- logging
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")

    @model_validator(mode="after")
    def _belong_together(self) -> Settings:
        if self.symbols and self.count is not None:
            raise ValueError("give either symbols or count, not both")
        if len(set(self.symbols)) != len(self.symbols):
            twice = next(name for name in self.symbols if self.symbols.count(name) > 1)
            raise ValueError(f"symbol {twice} is named twice: name it once")
        if (self.venue_rest is None) != (self.venue_ws is None):
            raise ValueError("venue_rest and venue_ws belong together: give both or neither")
        if (self.api_key is None) != (self.api_secret is None):
            raise ValueError("api_key and api_secret belong together: give both or neither")
        if self.request_rate <= self.order_rate:
            raise ValueError(
                f"request_rate ({self.request_rate:g}) must be above order_rate ({self.order_rate:g}): "
                "orders go first and would leave no query a turn"
            )
        if self.replay is not None and self.venue is not VenueName.SIM:
            raise ValueError("a recording is replayed by the simulator: use venue sim")
        return self

    @property
    def is_armed(self) -> bool:
        """True when live orders may be sent: explicitly, or by itself on a simulator of this machine.

        What is reached under the name sim at another host may be anything, the real venue included.
        """
        return self.arm_live or (self.venue is VenueName.SIM and is_loopback(self.venue_rest))

    def venue_urls(self) -> tuple[str, str] | None:
        """Return (REST base, WebSocket URL); None when the launcher's own simulator gives them."""
        if self.venue_rest is not None and self.venue_ws is not None:
            return self.venue_rest, self.venue_ws
        return (MEXC_REST, MEXC_WS) if self.venue is VenueName.MEXC else None

    def credentials(self) -> Credentials | None:
        """Return the key and secret, from the environment or the key file; None when neither names one.

        Raises: ConfigError when the key file is unreadable, not private or incomplete.
        """
        if self.api_key is not None and self.api_secret is not None:
            return Credentials(self.api_key.get_secret_value(), self.api_secret.get_secret_value())
        return read_key_file(self.key_file) if self.key_file is not None else None

    def check_start(self) -> None:
        """Check what only a start needs; nothing is touched.

        Raises: ConfigError (say what is missing) or Refused (live on MEXC without arming).
        """
        if self.venue is VenueName.MEXC and not self.symbols:
            raise ConfigError("name the symbols to trade on MEXC: --symbols BTCUSDT,ETHUSDT (MEXCBOT_SYMBOLS)")
        if self.mode is Mode.PAPER:
            return
        if self.venue is VenueName.MEXC and self.credentials() is None:
            raise ConfigError("live mode needs keys: set MEXCBOT_API_KEY and MEXCBOT_API_SECRET, or MEXCBOT_KEY_FILE")
        if not self.is_armed:
            where = "MEXC" if self.venue is VenueName.MEXC else str(self.venue_rest)
            raise Refused(f"live orders on {where} are not armed: add --arm-live when you mean it")

    def masked(self) -> dict[str, str]:
        """Return every setting as text, secrets as ***, for printing and for the sessions table."""
        return masked_values(self)


def load_settings(overrides: Mapping[str, Any] | None = None, env_file: Path | None = Path(".env")) -> Settings:
    """Read the settings.

    Args:
        overrides: what the command line gave, by field name; leave out what it did not give. `symbols` takes away a
            `count` of the environment and the other way round.
        env_file: a dotenv file; skipped when missing, refused when it holds a secret and others may read it.
    Raises: ConfigError with one sentence that names the setting and what is allowed.
    """
    given = dict(overrides or {})
    check_names(os.environ, Settings.model_fields)
    if env_file is not None and env_file.exists():
        if secrets := secrets_in_env_file(env_file, Settings.model_fields):
            require_private(env_file, f"dotenv file (it sets {', '.join(secrets)})")
    else:
        env_file = None
    if "symbols" in given:
        given.setdefault("count", None)
    elif given.get("count") is not None:
        given["symbols"] = ()
    try:
        return Settings(_env_file=env_file, **given)
    except ValidationError as error:
        raise ConfigError(sentence(error, Settings.model_fields))


if __name__ == "__main__":
    sys.stdout.write(example_text(Settings.model_fields))
