"""django-q2's cluster, made to survive the sudden death of any of its processes.

An idle worker waits for a task while it holds the lock of the queue. Where it is killed alone (by the kernel, out of
memory, or by a crash in C) no other worker ever gets a task: https://github.com/django-q2/django-q2/issues/23. So
whenever a process dies by a signal, the whole cluster starts again with new queues. Jobs in the old queues are lost;
that is harmless, as the tables hold the work and a job only wakes a worker.
"""

import gc
import logging
import multiprocessing
import os
import threading
import time
from importlib import import_module
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from types import FrameType
from uuid import UUID

from django.db import Error, close_old_connections
from django.utils.module_loading import autodiscover_modules
from django_q import cluster, monitor, pusher, scheduler, worker
from django_q.conf import Conf

from config.jobs.enqueue import set_worker_stop_event
from config.jobs.parent_death import end_with_parent
from config.jobs.schedules import bring_forward

log = logging.getLogger(__name__)

for _module in (cluster, monitor, pusher, scheduler, worker):
    _module._ = str  # a log has one language; django-q2 translates its lines to LANGUAGE_CODE

SCHEDULER_INTERVAL_SECONDS = 15  # django-q2's own is 30
DRAIN_TIMEOUT_SECONDS = 15  # for running jobs, when the cluster starts again
SENTINEL_TIMEOUT_SECONDS = 60  # without a round of the sentinel: it hangs
POLL_INTERVAL_SECONDS = 0.25
MAX_RESTART_DELAY_SECONDS = 30  # where one start after the other fails

_last_round = multiprocessing.RawValue("d", 0.0)  # time.monotonic() of the sentinel's latest; both processes see it


class Sentinel(cluster.Sentinel):
    """Supervises the workers, the monitor and the pusher; exits, and they with it, when one of them was killed."""

    scheduler_ran_at: float | None = None  # time.monotonic()

    def status(self) -> str:
        _last_round.value = time.monotonic()  # django-q2 asks for the status in every round
        if self.start_event.is_set() and not self.stop_event.is_set():
            self.run_scheduler()
        return str(super().status())

    def run_scheduler(self) -> None:
        """Enqueue the schedules that are due, so that what a killed process was doing goes on within a minute.

        Leases are free after 30 seconds, posters after 45.
        """
        now = time.monotonic()
        if self.scheduler_ran_at is None:
            self.scheduler_ran_at = now
        if now < self.scheduler_ran_at + SCHEDULER_INTERVAL_SECONDS:
            return
        self.scheduler_ran_at = now
        close_old_connections()
        try:
            bring_forward(Conf.CLUSTER_NAME)
        except Error as error:
            log.warning("the schedules could not be read: %s", error)
        else:
            scheduler.scheduler(broker=self.broker)

    def reincarnate(self, process: BaseProcess) -> None:
        if (process.exitcode or 0) < 0:
            log.critical("%s was killed (signal %s): the cluster restarts", process.name, -(process.exitcode or 0))
            self.abort()
        super().reincarnate(process)

    def abort(self) -> None:
        """Have running jobs stop where they can, then exit at once; the cluster starts another sentinel."""
        # In a thread: set() never returns where the killed process was waiting for this very event.
        threading.Thread(target=self.stop_event.set, daemon=True).start()
        deadline = time.monotonic() + DRAIN_TIMEOUT_SECONDS
        while any(_is_busy(process) for process in self.pool) and time.monotonic() < deadline:
            _last_round.value = time.monotonic()
            time.sleep(0.1)
        os._exit(1)


class Cluster(cluster.Cluster):
    """The process that an operator starts and stops: it starts a sentinel, and another whenever one exits by itself."""

    def __init__(self) -> None:
        self.stop_requested = False
        super().__init__()

    def sig_handler(self, signum: int, frame: FrameType | None) -> None:
        # supervise() stops it: in a handler that deadlocks, https://github.com/django-q2/django-q2/issues/346
        self.stop_requested = True

    def run(self) -> None:
        """Run until SIGTERM or Ctrl-C, whatever becomes of the processes below."""
        delay = 1
        while not self.stop_requested:
            started_at = time.monotonic()
            self.start()
            self.supervise()
            if not self.stop_requested:
                lived = time.monotonic() - started_at
                delay = 1 if lived > MAX_RESTART_DELAY_SECONDS else min(2 * delay, MAX_RESTART_DELAY_SECONDS)
                log.critical("the sentinel has exited (status %s); another starts", self.sentinel.exitcode)
                self.sleep(delay)

    def start(self) -> int:
        autodiscover_modules("tasks")  # loaded once, for all workers
        import_module("config.jobs.tasks")
        gc.freeze()  # a collection in a child would write to every object, and so copy what the processes share
        self.stop_event, self.start_event = multiprocessing.Event(), multiprocessing.Event()
        _last_round.value = time.monotonic()
        self.sentinel = cluster.get_mp_context().Process(
            target=_run_sentinel, args=(self.stop_event, self.start_event, self.cluster_id)
        )
        self.sentinel.start()
        return int(self.pid)

    def supervise(self) -> None:
        """Return when the sentinel has exited: stopped by us, or by itself. One that hangs is killed."""
        while self.sentinel.is_alive():
            if self.stop_requested:
                self.stop()
            elif time.monotonic() > _last_round.value + SENTINEL_TIMEOUT_SECONDS:
                log.critical("the sentinel hangs")
                self.sentinel.kill()
                self.sentinel.join()
            else:
                time.sleep(POLL_INTERVAL_SECONDS)

    def sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.stop_requested and time.monotonic() < until:
            time.sleep(POLL_INTERVAL_SECONDS)


def _run_sentinel(stop_event: Event, start_event: Event, cluster_id: UUID) -> None:
    """The sentinel's process. Its workers, which have running jobs, end with it."""
    end_with_parent()
    os.register_at_fork(after_in_child=end_with_parent)
    set_worker_stop_event(stop_event)
    Sentinel(stop_event, start_event, cluster_id)


def _is_busy(process: BaseProcess) -> bool:
    """Whether a worker is running a job; read past the lock of its timer, which a killed process may hold."""
    timer = process.timer  # type: ignore[attr-defined]  # set by django-q2's spawn_process
    return process.is_alive() and timer.get_obj().value > 0
