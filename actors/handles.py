"""Ray, and nothing else: the only file that imports it. Hosts plain actor classes, and calls them by name.

May import `trading.model` and `actors.recipes`. An actor class knows nothing of Ray: a picklable recipe builds it
inside the worker. Guarantees of a call: at most once, always with a timeout. A call that fails *after* it was sent
may have run: `OutcomeUnknown`. A call that could not be sent: `NotRunning`. Errors of our own tree come through as
themselves.

Control calls run in a concurrency group of their own, so that a thousand queued data calls cannot starve a halt; they
hop to the actor's own loop, where its state lives. Ray reads its environment when it is imported: call
`ray_environment.prepare` before this module is.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import pickle
import random
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeVar, cast

import ray
from ray._private import node as ray_node
from ray._private import worker as ray_worker
from ray._private.utils import get_dashboard_dependency_error
from ray._raylet import (  # type: ignore[attr-defined]  # compiled
    DASHBOARD_AGENT_LISTEN_PORT_NAME,
    METRICS_AGENT_PORT_NAME,
    METRICS_EXPORT_PORT_NAME,
    RUNTIME_ENV_AGENT_PORT_NAME,
    persist_port,
)
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    GetTimeoutError,
    RayActorError,
    RayError,
    RaySystemError,
    RayTaskError,
)
from ray.util import list_named_actors, serialization_addons

from trading.model.errors import NotRunning, OutcomeUnknown, TradingError

J = TypeVar("J")
R = TypeVar("R")
SUPERVISOR = "supervisor"
SLOT = "symbol_slot"
# ray refuses less; actors pass small messages only (docs/field notes: minimum object store 75 MiB).
OBJECT_STORE_BYTES = 80 * 1024 * 1024
QUIET: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
# Above the ports of Ray's workers, below those that systems give to outgoing connections.
AGENT_PORTS = range(20_000, 32_000)
CONTROL_CALLS_MAX = 16
DATA_CALLS_MAX = 1000
# Messages travel as bytes: the C pickler knows what we pass, while Ray's own asks Python about each object.
PICKLE = 5
# Messages are many and form no cycles: look for some after ten thousand new containers, not after seven hundred.
GC_THRESHOLDS = (10_000, 20, 20)


# At its first message Ray would import pydantic, starlette and pyarrow in every process, to register serializers for
# their types: 23 MiB an actor. Frozen dataclasses are all that we pass.
serialization_addons.apply = lambda serialization_context: None
# Ray prints half a page for each worker that dies, and more for many that live; of actors our own alerts tell.
ray_worker.print_to_stdstream = lambda data, ignore_prefix: logging.getLogger("ray").info("\n".join(data["lines"]))
# structlog and httpx import these for terminals wherever they are installed: 9 MiB in a process that has none.
TERMINAL_LIBRARIES = ("rich", "click")


def symbol_name(symbol: str) -> str:
    """Return the actor name of a symbol."""
    return f"symbol:{symbol}"


def executor_name(account: str) -> str:
    """Return the actor name of an account's executor."""
    return f"executor:{account}"


class Recipe(Protocol):
    """Picklable instructions to build one actor inside its worker."""

    async def build(self, crash: Callable[[str], None]) -> Any:
        """Return the started actor; `crash(reason)` ends the process so that Ray starts it anew."""
        ...


@dataclass(frozen=True, slots=True)
class Placement:
    """What an actor asks of Ray: a share of a core (admission only), and whether it takes a symbol slot."""

    num_cpus: float
    takes_slot: bool


SYMBOL_PLACEMENT = Placement(num_cpus=0.01, takes_slot=True)
SHARED_PLACEMENT = Placement(num_cpus=0.01, takes_slot=False)


def _crash(reason: str) -> None:
    """End this worker at once, visibly: Ray restarts a named detached actor by itself."""
    sys.stderr.write(f"actor crashed: {reason}\n")
    sys.stderr.flush()
    os._exit(70)


class _Host:
    """What Ray runs: one plain actor and the doors to it."""

    async def __init__(self, recipe: Recipe) -> None:  # type: ignore[misc]  # Ray awaits it
        self._loop = asyncio.get_running_loop()
        for name in TERMINAL_LIBRARIES:
            sys.modules.setdefault(name, cast(ModuleType, None))  # importing it raises ImportError: optional for both
        self._actor = await recipe.build(_crash)
        # What start-up made stays: looking through it again and again took a third of a busy executor's time.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)

    async def call(self, method: str, args: bytes) -> bytes:
        """Run a data-plane method."""
        return pickle.dumps(await getattr(self._actor, method)(*pickle.loads(args)), PICKLE)

    async def control(self, method: str, args: bytes) -> bytes:
        """Run a control method on the actor's own loop, from the control group's thread."""
        future = asyncio.run_coroutine_threadsafe(getattr(self._actor, method)(*pickle.loads(args)), self._loop)
        return pickle.dumps(await asyncio.wrap_future(future), PICKLE)


_HOST = ray.remote(concurrency_groups={"control": CONTROL_CALLS_MAX})(_Host)


# --- the cluster ----------------------------------------------------------------------------------------------------


class _LocalNode(ray_node.Node):  # type: ignore[misc]  # Ray's own classes are untyped
    """A node of our own Ray without the processes that serve nobody there, and that does not wait for its agents.

    API server, autoscaler and log tailer cost three interpreters, and a start stood still until the first had imported
    its libraries. The raylet then waits until its two agents have written down their ports, up to Ray's own limit of
    30 s, which a busy machine passes. What they write is known before: a minimal agent serves no port (-1), and the
    other takes the one it is given. The agents are the usual ones and come up beside the actors.
    """

    def start_monitor(self) -> None:
        """Start no autoscaler: this cluster has one node."""

    def start_api_server(self, *, include_dashboard: bool | None, raise_on_failure: bool) -> None:
        """Start no API server: ours is another."""

    def start_log_monitor(self) -> None:
        """Start nobody who carries the workers' logs here: actors write theirs to files."""

    def start_raylet(self, *args: Any, **options: Any) -> None:
        """Start the raylet."""
        if get_dashboard_dependency_error() is not None:
            port = _free_port()
            self._ray_params.runtime_env_agent_port = port
            persist_port(self._session_dir, self._node_id, RUNTIME_ENV_AGENT_PORT_NAME, port)
            for name in (METRICS_AGENT_PORT_NAME, METRICS_EXPORT_PORT_NAME, DASHBOARD_AGENT_LISTEN_PORT_NAME):
                persist_port(self._session_dir, self._node_id, name, -1)
        super().start_raylet(*args, **options)


@contextlib.contextmanager
def _nodes_of(kind: type) -> Iterator[None]:
    """Let `ray.init` make its node of this class."""
    usual, ray_node.Node = ray_node.Node, kind
    try:
        yield
    finally:
        ray_node.Node = usual


def _free_port() -> int:
    """Return a port that nobody listens on, and that no outgoing connection will be given before the agent takes it."""
    for port in random.sample(AGENT_PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return port
    raise NotRunning(f"no free port in {AGENT_PORTS.start} to {AGENT_PORTS.stop - 1} for Ray's agent")


@contextlib.contextmanager
def _at_home() -> Iterator[None]:
    """Let `ray.init` find us in our own folder: workers look for modules where it was called, before anywhere else."""
    with contextlib.chdir(Path(__file__).resolve().parent.parent):
        yield


def start_local(temp_dir: Path, namespace: str, slots: int, cores: int | None = None) -> str:
    """Start a Ray of our own on 127.0.0.1, a child of this process that dies with it; return its address.

    temp_dir: short (its sockets must stay under 107 bytes). slots: how many symbol actors are admitted. cores: how many
    jobs run at once; default: enough for the shared actors.
    Raises: NotRunning when Ray does not start.
    """
    try:
        with _nodes_of(_LocalNode), _at_home():
            context = ray.init(
                address="local",
                namespace=namespace,
                num_cpus=cores or max(4, os.cpu_count() or 1),
                resources={SLOT: slots},
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                **QUIET,
                _temp_dir=str(temp_dir),
                _node_ip_address="127.0.0.1",
            )
    except Exception as error:  # a node that is too slow to start is a bare Exception of Ray's
        raise NotRunning(f"a local Ray did not start: {_first_line(error)}") from error
    return str(context.address_info["address"])


def connect(address: str, namespace: str) -> None:
    """Attach this process to a running Ray; idempotent. Raises: NotRunning when there is none."""
    if ray.is_initialized():
        return
    try:
        with _at_home():
            ray.init(address=address, namespace=namespace, ignore_reinit_error=True, **QUIET)
    except (RayError, RuntimeError, OSError, TimeoutError, ConnectionError, ValueError) as error:
        raise NotRunning(
            f"no Ray answers at {address}: start one, or check the address and RAY_AUTH_MODE ({_first_line(error)})"
        ) from error


def disconnect() -> None:
    """Leave Ray; a local Ray that this process started stops with it."""
    ray.shutdown()


def is_connected() -> bool:
    """Tell whether this process is attached to a Ray."""
    return bool(ray.is_initialized())


def node_id() -> str:
    """Return the id of the node this process runs on, shortened."""
    return str(ray.get_runtime_context().get_node_id())[:12]


def nodes() -> tuple[Mapping[str, Any], ...]:
    """Describe the live nodes: id, address, resources."""
    return tuple(
        {"node": item["NodeID"][:12], "address": item["NodeManagerAddress"], "resources": dict(item["Resources"])}
        for item in ray.nodes()
        if item["Alive"]
    )


def free_slots() -> int:
    """Return how many more symbol actors the cluster admits now."""
    return int(ray.available_resources().get(SLOT, 0))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


# --- jobs -----------------------------------------------------------------------------------------------------------


def run_jobs(function: Callable[[J], R], jobs: Iterable[J], in_flight: int) -> Iterator[R]:
    """Run a pure function over jobs in the cluster's workers; yield results as they come, in any order.

    Args: function: importable by name in the workers; it may run again when a worker dies. in_flight: at most so many
    are handed out at once. Ending the iteration early, by an interrupt too, takes back what is not finished.
    Raises: NotRunning when Ray or a job cannot be had any more (a job whose worker died four times).
    """
    remote = ray.remote(num_cpus=1, max_retries=3)(function)
    waiting = iter(jobs)
    pending = {remote.remote(job) for job in islice(waiting, in_flight)}
    try:
        while pending:
            done, _ = ray.wait(list(pending), num_returns=1, timeout=None)
            for ref in done:
                pending.discard(ref)
                for job in islice(waiting, 1):
                    pending.add(remote.remote(job))
                yield cast(R, ray.get(ref))
    except RayError as error:
        raise NotRunning(f"a job could not be run: {_first_line(error)}") from error
    finally:
        with contextlib.suppress(Exception):  # Ray may be gone already: then there is nothing to take back
            for ref in pending:
                ray.cancel(ref, force=True)


# --- actors ---------------------------------------------------------------------------------------------------------


def spawn(name: str, recipe: Recipe, placement: Placement) -> None:
    """Create the named, detached actor, or keep the one that exists. Returns at once; it starts by itself.

    Options (design.md §4): restarted for ever, its calls never re-run; symbol actors spread over nodes.
    """
    _HOST.options(
        name=name,
        lifetime="detached",
        get_if_exists=True,
        max_restarts=-1,
        max_task_retries=0,
        max_concurrency=DATA_CALLS_MAX,
        num_cpus=placement.num_cpus,
        resources={SLOT: 1} if placement.takes_slot else None,
        scheduling_strategy="SPREAD" if placement.takes_slot else "DEFAULT",
    ).remote(recipe)


def kill(name: str) -> bool:
    """End the named actor for good, without running anything in it; True when there was one."""
    try:
        ray.kill(ray.get_actor(name), no_restart=True)
    except (ValueError, RayActorError):
        return False
    return True


def actor_names(namespace: str) -> tuple[str, ...]:
    """List the named actors of a namespace, sorted."""
    return tuple(
        sorted(item["name"] for item in list_named_actors(all_namespaces=True) if item["namespace"] == namespace)
    )


class Handle:
    """Calls to one named actor. Looks the name up lazily and again after its death; never blocks the loop."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._ref: Any = None

    async def call(self, method: str, *args: Any, timeout_s: float = 5.0) -> Any:
        """Call a data-plane method, at most once. Raises: NotRunning, OutcomeUnknown, or the actor's TradingError."""
        return await self._invoke(method, args, timeout_s, is_control=False)

    async def control(self, method: str, *args: Any, timeout_s: float = 10.0) -> Any:
        """Call a control method; otherwise as `call`."""
        return await self._invoke(method, args, timeout_s, is_control=True)

    async def _invoke(self, method: str, args: tuple[Any, ...], timeout_s: float, *, is_control: bool) -> Any:
        actor = await self._actor()
        packed = pickle.dumps(args, PICKLE)
        try:
            if is_control:
                ref = actor.control.options(concurrency_group="control").remote(method, packed)
            else:
                ref = actor.call.remote(method, packed)
        except (RayError, ValueError, RuntimeError) as error:
            self._ref = None
            raise NotRunning(f"{self.name} could not be called: {_first_line(error)}") from error
        try:
            async with asyncio.timeout(timeout_s):
                answer = await asyncio.wrap_future(ref.future())
            return pickle.loads(answer)
        except RayTaskError as error:
            cause = error.cause
            if isinstance(cause, TradingError):
                raise cause from None
            raise OutcomeUnknown(f"{self.name}.{method} failed: {_first_line(cause or error)}") from error
        except (GetTimeoutError, TimeoutError) as error:
            raise OutcomeUnknown(f"{self.name}.{method}: no answer within {timeout_s} s") from error
        except ActorUnavailableError as error:
            raise OutcomeUnknown(f"{self.name} was away during {method}; Ray starts it again") from error
        except (ActorDiedError, RayActorError) as error:
            self._ref = None
            raise OutcomeUnknown(f"{self.name} died during {method}") from error
        except (RaySystemError, RayError) as error:
            self._ref = None
            raise OutcomeUnknown(f"{self.name}.{method}: {_first_line(error)}") from error

    async def _actor(self) -> Any:
        if self._ref is None:
            try:
                self._ref = await asyncio.wait_for(asyncio.to_thread(ray.get_actor, self.name), 10)
            except (ValueError, RayError, RuntimeError, TimeoutError) as error:
                raise NotRunning(f"{self.name} is not running") from error
        return self._ref

    async def is_alive(self, timeout_s: float = 2.0) -> bool:
        """Ask the actor for a sign of life."""
        with contextlib.suppress(TradingError):
            await self.call("ping", timeout_s=timeout_s)
            return True
        return False
