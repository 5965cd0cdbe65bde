"""Two Ray nodes on this machine, as a process of its own: prints the address, ends with its standard input.

Run as `python -m tests.ray.two_nodes`. Nodes are separate raylets, as two machines would have. Autoscaler and log
tailers are left out: two machines' worth of interpreters on one.
"""

from __future__ import annotations

import sys

from ray.cluster_utils import Cluster

OBJECT_STORE_BYTES = 80 * 1024 * 1024
SLOTS = 10


def main() -> None:
    """Start both nodes, say where, and wait to be told to stop."""
    node = {
        "num_cpus": 4,
        "resources": {"symbol_slot": SLOTS},
        "object_store_memory": OBJECT_STORE_BYTES,
        "include_log_monitor": False,
    }
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False, "no_monitor": True})
    try:
        cluster.add_node(**node)
        cluster.wait_for_nodes()
        print(cluster.address, flush=True)
        sys.stdin.read()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
