"""ray_cluster.yaml is valid for the locked Ray, and its shell commands say what they mean. Checked offline."""

from __future__ import annotations

import ipaddress
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

# Imported at collection: pure tests may not import ray while running. A private module, and therefore Ray is pinned.
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "ray_cluster.yaml").read_text(encoding="utf-8")
DOCUMENTATION_NETWORKS = [ipaddress.ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
START_COMMANDS = ("head_start_ray_commands", "worker_start_ray_commands")


def _load(text: str) -> dict[str, Any]:
    """Parse and validate as `ray up` does. Raises what Ray raises."""
    config = yaml.safe_load(text)
    validate_config(prepare_config(config))
    return config


def _ray_start(config: dict[str, Any], key: str) -> tuple[dict[str, str], dict[str, str]]:
    """Give (environment, options) of the one `ray start` in a list of shell commands. ValueError on anything else."""
    commands = config[key]
    if not all(isinstance(command, str) for command in commands):
        raise ValueError(f"{key}: a command that parses as a mapping: {commands}")
    [command] = [command for command in commands if "ray start" in command]
    words = shlex.split(command)
    at = next(i for i, word in enumerate(words) if word.endswith("/ray"))
    if words[at + 1] != "start":
        raise ValueError(f"{key}: not a ray start: {command}")
    environment = dict(word.split("=", 1) for word in words[:at] if "=" in word)
    options = dict((word.split("=", 1) if "=" in word else (word, "")) for word in words[at + 2 :])
    return environment, options


def test_cluster_file_is_valid_for_the_locked_ray() -> None:
    config = _load(TEXT)
    assert config["provider"]["type"] == "local"
    assert config["max_workers"] == len(config["provider"]["worker_ips"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cluster_name: mexcbot", "cluster_nam: mexcbot"),
        ("max_workers: 2", "max_workers: two"),
        ("max_workers: 2", "max_workers: 2\navailable_node_types: {node: {resources: {symbol_slot: 50}}}"),
        ("  head_ip: 192.0.2.10\n", ""),
    ],
    ids=["unknown-key", "wrong-type", "node-types-with-local", "no-head"],
)
def test_cluster_file_with_a_fault_is_refused(old: str, new: str) -> None:
    assert old in TEXT
    with pytest.raises(Exception):  # noqa: B017 - jsonschema's or click's, as Ray has it
        _load(TEXT.replace(old, new))


@pytest.mark.parametrize("key", START_COMMANDS)
def test_start_command_offers_symbol_slots_and_asks_for_the_token(key: str) -> None:
    environment, options = _ray_start(_load(TEXT), key)
    resources = json.loads(options["--resources"])
    assert set(resources) == {"symbol_slot"}
    assert isinstance(resources["symbol_slot"], int)
    assert resources["symbol_slot"] > 0
    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["RAY_USAGE_STATS_ENABLED"] == "0"


def test_start_commands_form_one_cluster() -> None:
    config = _load(TEXT)
    _, head = _ray_start(config, "head_start_ray_commands")
    _, worker = _ray_start(config, "worker_start_ray_commands")
    assert "--head" in head
    assert "--head" not in worker
    assert worker["--address"] == f"$RAY_HEAD_IP:{head['--port']}"


@pytest.mark.parametrize("key", START_COMMANDS)
def test_unquoted_start_command_is_refused(key: str) -> None:
    """The trap that the file steps around: without `>-`, YAML reads the colon of the resources as a mapping."""
    config = _load(TEXT)
    plain = yaml.safe_load("""- ray start --resources='{"symbol_slot": 50}'""")
    assert isinstance(plain[0], dict)
    with pytest.raises(ValueError, match="parses as a mapping"):
        _ray_start({**config, key: plain}, key)


def test_start_options_are_known_to_the_locked_ray() -> None:
    from ray.scripts.scripts import start

    known = {name for parameter in start.params for name in parameter.opts}
    config = _load(TEXT)
    for key in START_COMMANDS:
        _, options = _ray_start(config, key)
        assert set(options) <= known


def test_cluster_file_names_documentation_addresses_only() -> None:
    provider = _load(TEXT)["provider"]
    for address in [provider["head_ip"], *provider["worker_ips"]]:
        assert any(ipaddress.ip_address(address) in network for network in DOCUMENTATION_NETWORKS)
