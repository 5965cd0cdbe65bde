"""`python -m bench [names…] [--list]`: measures, prints, and appends to the results file. May import bench."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from bench.catalogue import BENCHMARKS
from bench.figures import Benchmark, CannotRunError, Effort
from bench.report import ROOT, Conditions, append, conditions, head, line

RESULTS = ROOT / "bench" / "results.csv"
EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Measure this build on this machine.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run (default: all)")
    parser.add_argument("--list", action="store_true", help="list the benchmarks and end")
    parser.add_argument("--short", action="store_true", help="try them out: shorter, and nothing is recorded")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file to append to (default bench/results.csv)")
    parser.add_argument("--no-results", action="store_true", help="print only")
    return parser.parse_args(arguments)


def _run(benchmark: Benchmark, effort: Effort, found: Conditions, results: Path | None) -> bool:
    """Run one benchmark and tell its figures as they come; False when it broke."""
    print(f"\n{benchmark.name}: {benchmark.about}", flush=True)
    began = time.monotonic()
    try:
        for figure in benchmark.measure(effort):
            print(line(figure), flush=True)
            if results is not None:
                append(results, found, benchmark.name, figure)
    except CannotRunError as error:
        print(f"  cannot run here: {error}", flush=True)
    except Exception as error:  # noqa: BLE001 - a broken benchmark must not cost the others their figures
        print(f"  failed: {type(error).__name__}: {error}", flush=True)
        return False
    print(f"  ({time.monotonic() - began:.0f} s)", flush=True)
    return True


def main(arguments: list[str]) -> int:
    """Run the named benchmarks, or all. Returns the exit code: 1 when one broke, 2 for an unknown name."""
    given = _arguments(arguments)
    if given.list:
        for benchmark in BENCHMARKS:
            print(f"{benchmark.name:<16} {benchmark.about}")
        return EXIT_OK
    by_name = {benchmark.name: benchmark for benchmark in BENCHMARKS}
    unknown = [name for name in given.names if name not in by_name]
    if unknown:
        print(f"bench: unknown: {', '.join(unknown)}; there are {', '.join(by_name)}", file=sys.stderr)
        return EXIT_USAGE
    signal.signal(signal.SIGTERM, _end)
    found = conditions()
    print("\n".join(head(found)))
    results = None if given.no_results or given.short else given.results
    chosen = [by_name[name] for name in dict.fromkeys(given.names)] or list(BENCHMARKS)
    outcomes = [_run(benchmark, Effort(given.short), found, results) for benchmark in chosen]
    if results is not None:
        print(f"\nappended to {results}")
    return EXIT_OK if all(outcomes) else EXIT_FAILED


def _end(number: int, frame: object) -> NoReturn:
    """Unwind on SIGTERM as on Ctrl-C, so that what was started is ended."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
