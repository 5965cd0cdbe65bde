"""The report: machine, commit, figures with their targets; and the rows appended to the results file.

May import psutil and the standard library.
"""

from __future__ import annotations

import csv
import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from bench.figures import Figure, shown

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = ("date_utc", "commit", "machine", "benchmark", "metric", "unit", "value", "target", "note")
BUSY_LOAD_PER_CORE = 0.25


@dataclass(frozen=True, slots=True)
class Conditions:
    """Where and when figures were measured. load: tasks that wanted a core in the last minute, before we began."""

    date_utc: str
    commit: str
    machine: str
    load: float
    cores: int

    @property
    def is_busy(self) -> bool:
        """True when others used the machine: figures are then not comparable."""
        return self.load > BUSY_LOAD_PER_CORE * self.cores


def conditions() -> Conditions:
    """Look at this machine, this commit and the clock."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory_gib = psutil.virtual_memory().total / 2**30
    machine = (
        f"{_processor()}, {cores} cores, {memory_gib:.0f} GiB, "
        f"Python {platform.python_version()}, {platform.system()} {platform.release()}"
    )
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Conditions(now, _commit(), machine, psutil.getloadavg()[0], cores)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return " ".join(names[0].split()) if names else platform.machine()


def _commit() -> str:
    """Return the short commit, with a plus when tracked files differ from it; "none" outside of a checkout."""
    try:
        commit = _git("rev-parse", "--short=10", "HEAD")
        is_changed = bool(_git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return "none"
    return f"{commit}+" if is_changed else commit


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.strip()


def head(found: Conditions) -> list[str]:
    """Render what stands above the figures."""
    lines = [f"machine  {found.machine}", f"commit   {found.commit}", f"date     {found.date_utc}"]
    if found.is_busy:
        lines.append(f"warning  load {found.load:.1f} on {found.cores} cores before the first measurement: others work")
    return lines


def line(figure: Figure) -> str:
    """Render one figure: metric, value and unit, target and verdict, note."""
    text = f"  {figure.metric:<42} {shown(figure.value):>10} {figure.unit:<12}"
    if figure.target is not None:
        text += f" {'>=' if figure.is_more_better else '<='} {shown(figure.target):<7} {figure.verdict:<6}"
    elif figure.note:
        text += " " * 18
    return f"{text} {figure.note}".rstrip()


def append(path: Path, found: Conditions, benchmark: str, figure: Figure) -> None:
    """Append one row to the results file, with the header when it is new."""
    is_new = not path.exists() or path.stat().st_size == 0
    note = figure.note
    if found.is_busy:
        note = f"busy machine, load {found.load:.1f}; {note}".rstrip("; ")
    target = "" if figure.target is None else repr(figure.target)
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if is_new:
            writer.writerow(COLUMNS)
        value = f"{figure.value:.6g}"
        writer.writerow(
            (found.date_utc, found.commit, found.machine, benchmark, figure.metric, figure.unit, value, target, note)
        )
