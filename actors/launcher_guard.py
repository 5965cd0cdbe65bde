"""What keeps a start from leaving anything behind: the watchdog, and the mark that every process of it carries.

May import the launcher's own files and the standard library.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from actors.data_dir import DataDir
from actors.foreground import is_launcher
from actors.processes import start_child
from actors.watchdog import MARK_NAME, end_marked

# Ray's socket paths must stay under 107 bytes, whatever TMPDIR and the data directory are called.
_SHORT_FOLDER = "/tmp"


def hide_keys() -> None:
    """Take the venue's keys out of our environment, once they are read: children and actors inherit it."""
    for name in ("MEXCBOT_API_KEY", "MEXCBOT_API_SECRET"):
        os.environ.pop(name, None)


class Guard:
    """Owned by the launcher. Between `start` and `stop` every child carries the mark, and the watchdog waits."""

    def __init__(self, data_dir: DataDir) -> None:
        # What people see as `mexcbot up`.
        self.pid = os.getppid() if is_launcher() else os.getpid()
        self.mark = uuid.uuid4().hex
        self._dir = data_dir
        self._pipe: int | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._ray_folder: Path | None = None

    def start(self) -> None:
        """Mark our environment, and start the watchdog."""
        self._ray_folder = Path(tempfile.mkdtemp(prefix="mexcbot-", dir=_SHORT_FOLDER))
        reader, self._pipe = os.pipe()
        command = [sys.executable, "-m", "actors.watchdog", str(reader), self.mark, str(self._ray_folder)]
        command += [str(os.getpid()), str(self.pid)]
        environment = {name: text for name, text in os.environ.items() if name != MARK_NAME}
        environment["PYTHONPATH"] = str(Path(__file__).resolve().parent.parent)
        # SIGURG is ignored by default: the watchdog must outlive us.
        self._watchdog = start_child(
            command,
            self._dir.logs / "watchdog.log",
            environment,
            pass_fds=(reader, self._dir.lock_descriptor),
            death_signal=signal.SIGURG,
        )
        os.close(reader)
        os.environ[MARK_NAME] = self.mark

    def ray_folder(self) -> Path:
        """Return the short folder for a Ray of our own."""
        if self._ray_folder is None:
            raise RuntimeError("the guard was not started")
        return self._ray_folder

    def stop(self) -> None:
        """End whatever still carries the mark, dismiss the watchdog, remove Ray's folder; idempotent."""
        if self._pipe is None:
            return
        end_marked(self.mark, ask_s=1.0, insist_s=4.0)
        with contextlib.suppress(OSError):
            os.write(self._pipe, b"1")
        os.close(self._pipe)
        self._pipe = None
        os.environ.pop(MARK_NAME, None)
        if self._watchdog is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._watchdog.wait(2.0)
        if self._ray_folder is not None:
            shutil.rmtree(self._ray_folder, ignore_errors=True)
