"""A process is called dead only when the kernel of this host says so."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from actors.process_identity import identity_of, is_certainly_dead, own_identity

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is certain")


def test_killed_process_is_dead_before_and_after_it_is_reaped_and_a_stopped_one_is_not() -> None:
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE)
    owner = f"session-1:{identity_of(process.pid)}"
    try:
        assert not is_certainly_dead(owner)
        process.send_signal(signal.SIGSTOP)
        assert not is_certainly_dead(owner)
    finally:
        process.kill()
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
    assert is_certainly_dead(owner)


def test_pid_that_was_given_out_again_is_not_the_process_of_before() -> None:
    stem, _, started = own_identity().rpartition("/")
    assert is_certainly_dead(f"s:{stem}/{int(started) - 1}")
    assert not is_certainly_dead(f"s:{stem}/{started}")


@pytest.mark.parametrize(
    "owner",
    [
        "",
        "one",
        "session-1:1234",
        "s:pid/1",
        "s:proc/other-boot/pid:[1]/1/1",
        "s:proc/a/b/c/d",
        "proc////",
        "a/b/c/1/2",
    ],
)
def test_owner_of_another_host_or_without_identity_is_never_called_dead(owner: str) -> None:
    assert not is_certainly_dead(owner)
