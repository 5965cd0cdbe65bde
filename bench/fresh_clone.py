"""A fresh clone of this checkout's last commit, and make in it, without any cache of ours. May import bench.system."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.figures import CannotRunError
from bench.report import ROOT
from bench.system import clean_environment, last_words, temporary_folder

SETUP_TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class FreshClone:
    """A clone in a temporary folder. `environment` points the caches of uv and pip into that folder."""

    folder: Path
    tree: Path
    environment: Mapping[str, str]

    def make(self, *arguments: str) -> list[str]:
        """Return the command of a quiet make, with the interpreter that this one was made from."""
        python = getattr(sys, "_base_executable", sys.executable)
        return ["make", "-s", f"PYTHON={python}", *arguments]

    def set_up(self, target: str) -> float:
        """Run a set-up target to its end; return the seconds. Raises: CannotRunError with its last words."""
        log = self.folder / "setup.log"
        began = time.monotonic()
        with log.open("wb") as output:
            try:
                done = subprocess.run(
                    self.make(target),
                    cwd=self.tree,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=SETUP_TIMEOUT_S,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise CannotRunError(f"make {target} took longer than {SETUP_TIMEOUT_S} s") from None
        if done.returncode:
            raise CannotRunError(f"make {target} failed: {last_words(log)}")
        return time.monotonic() - began


@contextmanager
def fresh_clone() -> Iterator[FreshClone]:
    """Clone HEAD into a temporary folder, removed at the end. Raises: CannotRunError without git, make or a commit."""
    for program in ("git", "make"):
        if shutil.which(program) is None:
            raise CannotRunError(f"{program} is not installed")
    with temporary_folder() as folder:
        tree = folder / "tree"
        clone = ["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(tree)]
        done = subprocess.run(clone, capture_output=True, text=True, timeout=SETUP_TIMEOUT_S, check=False)
        if done.returncode:
            raise CannotRunError(f"git clone failed: {' '.join(done.stderr.split())[-300:]}")
        caches = {"UV_CACHE_DIR": str(folder / "uv"), "PIP_CACHE_DIR": str(folder / "pip")}
        yield FreshClone(folder, tree, clean_environment(**caches))
