"""Runs one contender as a process, and watches the memory of it and of its descendants."""

import contextlib
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass

import psutil

SAMPLE_SECONDS = 0.05
STALL_SECONDS = 2.0


@dataclass
class Finished:
    stdout: str
    seconds: float
    peak_mb: float


class Failed(Exception):
    pass


class Stalled(Exception):
    """The contender was stopped (SIGSTOP), or nothing here ran for seconds, so that its times say nothing."""


def run(command, env=None):
    """Waits for the command; `peak_mb` is the largest sum of resident memory over its processes, in 10^6 bytes."""
    with tempfile.TemporaryFile("w+") as errors:
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=env, text=True)
        watcher = Watcher(process.pid)
        try:
            stdout, _ = process.communicate()
        except BaseException:  # asked to end: nothing is left running behind
            end(process.pid)
            raise
        seconds = time.monotonic() - started
        peak = watcher.stop()
        if process.returncode != 0:
            errors.seek(0)
            words = " ".join(str(word) for word in command)
            raise Failed(f"exit code {process.returncode} of: {words[:400]}\n{errors.read()[-4000:]}")
        if watcher.was_stopped or watcher.longest_gap > STALL_SECONDS:
            how = "a process was seen stopped" if watcher.was_stopped else "none was"
            raise Stalled(f"the longest time without a look at its processes was {watcher.longest_gap:.1f} s, {how}")
    return Finished(stdout, seconds, peak / 1e6)


class Watcher(threading.Thread):
    def __init__(self, pid):
        super().__init__(daemon=True)
        self.root = psutil.Process(pid)
        self.done = threading.Event()
        self.peak = 0
        self.longest_gap = 0.0
        self.was_stopped = False
        self.start()

    def run(self):
        last = time.monotonic()
        while not self.done.wait(SAMPLE_SECONDS):
            now = time.monotonic()
            self.longest_gap = max(self.longest_gap, now - last)
            last = now
            self.peak = max(self.peak, self.resident())

    def resident(self):
        try:
            tree = [self.root, *self.root.children(recursive=True)]
        except psutil.Error:
            return 0
        self.was_stopped = self.was_stopped or any(is_stopped(process) for process in tree)
        return sum(resident_of(process) for process in tree)

    def stop(self):
        self.done.set()
        self.join()
        return self.peak


def resident_of(process):
    try:
        return process.memory_info().rss
    except psutil.Error:
        return 0


def is_stopped(process):
    try:
        return process.status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return False


def end(pid):
    try:
        root = psutil.Process(pid)
        tree = [*root.children(recursive=True), root]
    except psutil.Error:
        return
    for process in tree:
        with contextlib.suppress(psutil.Error):
            process.kill()
