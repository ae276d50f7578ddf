"""The whole system as real processes, each started again when it ends, as systemd would; and who kills them."""

import contextlib
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.helpers.waiting import ROOT

RESTART = 2  # seconds, as the units in deploy/systemd have it
EVERY = 20  # seconds between two kills
WEIGH = 10  # seconds between two looks at how large everything is


def family(pid):
    """A process and all below it that still live."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(one for child in children for one in family(int(child)))]


def proportional_size(pid):
    """Megabytes of a process, pages that it shares with others counted in parts (PSS)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


@dataclass
class Unit:
    """One process of ours and what it starts."""

    name: str
    command: list
    variables: dict
    log: Path
    restarts: int = -1
    ended_at: float = 0.0
    process: subprocess.Popen | None = None

    def start(self):
        self.restarts += 1
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.command], cwd=ROOT, env=self.variables, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    @property
    def size(self):
        return sum(proportional_size(pid) for pid in family(self.process.pid)) if self.running else 0.0

    def kill_all(self):
        """What systemd does with what is left of a unit, too."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def stop(self, seconds=60):
        if self.running:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self.process.wait(seconds)
        self.kill_all()
        return None


@dataclass
class System:
    units: list
    seed: int
    kills: list = field(default_factory=list)  # (time, unit, what)
    sizes: list = field(default_factory=list)  # (time.monotonic(), unit, megabytes)

    def __post_init__(self):
        self.dice = random.Random(self.seed)
        self.stopping = threading.Event()

    def __enter__(self):
        for unit in self.units:
            unit.start()
        for task in (self.supervise, self.weigh):
            threading.Thread(target=task, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.stopping.set()
        for unit in self.units:
            if unit.running:
                unit.process.send_signal(signal.SIGTERM)
        for unit in self.units:
            unit.stop(30)

    def supervise(self):
        while not self.stopping.wait(0.2):
            for unit in self.units:
                if unit.running:
                    unit.ended_at = 0.0
                elif not unit.ended_at:
                    unit.ended_at = time.monotonic()
                    unit.kill_all()
                elif time.monotonic() > unit.ended_at + RESTART:
                    unit.start()

    def kill_something(self):
        """kill -9 for a whole unit, for its main process, or for any one process in it."""
        unit = self.dice.choice([unit for unit in self.units if unit.running])
        how = self.dice.choice(["all", "main", "one"])
        pids = family(unit.process.pid)
        if how == "one" and len(pids) > 1:
            pid = self.dice.choice(pids[1:])
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        elif how == "all":
            unit.kill_all()
        else:
            os.kill(unit.process.pid, signal.SIGKILL)
        self.kills.append((time.time(), unit.name, how))

    @property
    def restarts(self):
        return sum(unit.restarts for unit in self.units)

    def weigh(self):
        while not self.stopping.wait(WEIGH):
            self.sizes += [(time.monotonic(), unit.name, unit.size) for unit in self.units if unit.running]

    def usual_size(self, since, until):
        """Megabytes of all units together, each as it mostly was in that time (a median: some are just restarted)."""
        seen = [
            [size for at, name, size in self.sizes if name == unit.name and since <= at <= until] for unit in self.units
        ]
        return sum(statistics.median(sizes) for sizes in seen if sizes)
