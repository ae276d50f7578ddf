"""django-q2's cluster, so that it outlives the sudden death of any of its processes.

A process that is killed alone (by the kernel for want of memory, by a crash in C) may take a lock of the queues between
them with it: an idle worker waits for work with the lock in its hands, and without it no other gets any, for ever. So
whenever one dies by a signal, all that are left begin afresh with new queues. The bells that were in the old ones are
lost; the tables hold what they rang for.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import threading
import time
from typing import Any

from django.db import Error, close_old_connections
from django.utils.module_loading import autodiscover_modules
from django_q import cluster
from django_q.conf import Conf
from django_q.scheduler import scheduler

from config.jobs.parent_death import end_with_parent
from config.jobs.schedules import run_twice_a_minute

log = logging.getLogger(__name__)

STRIKE = 15  # seconds between two looks at the clock; django-q2's own are half a minute apart
FINISH = 15  # seconds that jobs at hand have to end when all begin afresh; they are told to
SILENCE = 60  # seconds without a round of the sentinel after which it hangs
LOOK = 0.25  # seconds between two looks after the sentinel
LONGEST_PAUSE = 30  # seconds between two beginnings, where one after the other fails


class Sentinel(cluster.Sentinel):
    """Guards the workers, the monitor and the pusher; ends, and they with it, when one of them was killed."""

    struck = None  # when it last looked at the clock, or began

    def status(self):
        _seen.value = time.monotonic()  # asked for in every round
        if self.start_event.is_set() and not self.stop_event.is_set():
            self.strike()
        return super().status()

    def strike(self) -> None:
        """Begin what the clock says is due, so that what a killed process had at hand is taken up within a minute.

        Leases come free after 30 seconds, posters after 45.
        """
        now = time.monotonic()
        if self.struck is None:
            self.struck = now
        if now < self.struck + STRIKE:
            return
        self.struck = now
        close_old_connections()
        try:
            run_twice_a_minute(Conf.CLUSTER_NAME)
        except Error as error:
            log.warning("the clock could not be read: %s", error)
        else:
            scheduler(broker=self.broker)

    def reincarnate(self, process) -> None:
        if (process.exitcode or 0) < 0:
            log.critical("%s was killed (signal %s): all begin afresh", process.name, -process.exitcode)
            self.give_up()
        super().reincarnate(process)

    def give_up(self) -> None:
        """Have the jobs at hand end at their next good moment, then end without ceremony."""
        # in a thread: it would wait for ever for one who was killed while waiting for this very event
        threading.Thread(target=self.stop_event.set, daemon=True).start()
        deadline = time.monotonic() + FINISH
        while any(_is_busy(worker) for worker in self.pool) and time.monotonic() < deadline:
            _seen.value = time.monotonic()
            time.sleep(0.1)
        os._exit(1)


class Cluster(cluster.Cluster):
    """The process that an operator starts and stops: it has a sentinel, and another whenever one ends by itself."""

    def __init__(self) -> None:
        self.told_to_stop = False
        super().__init__()

    def sig_handler(self, signum, frame) -> None:
        self.told_to_stop = True  # `watch` sees to it: a handler may come upon a sentinel that is only being made

    def run(self) -> None:
        """Start, and go on until told to stop, whatever befalls the processes below."""
        pause = 1
        while not self.told_to_stop:
            began = time.monotonic()
            self.start()
            self.watch()
            if not self.told_to_stop:
                pause = 1 if time.monotonic() > began + LONGEST_PAUSE else min(2 * pause, LONGEST_PAUSE)
                log.critical("the sentinel has ended (status %s); another begins", self.sentinel.exitcode)
                self.rest(pause)

    def start(self):
        autodiscover_modules("tasks")  # loaded once, for all workers
        gc.freeze()  # a collection in a child would write to every object, and so copy what the processes share
        self.stop_event, self.start_event = multiprocessing.Event(), multiprocessing.Event()
        _seen.value = time.monotonic()
        self.sentinel = cluster.get_mp_context().Process(
            target=_guard, args=(self.stop_event, self.start_event, self.cluster_id)
        )
        self.sentinel.start()
        log.info("the cluster %s begins", Conf.CLUSTER_NAME)
        return self.pid

    def watch(self) -> None:
        """Return when the sentinel has ended: told to by us, or by itself. One that hangs is killed."""
        while self.sentinel.is_alive():
            if self.told_to_stop:
                self.stop()
            elif time.monotonic() > _seen.value + SILENCE:
                log.critical("the sentinel hangs")
                self.sentinel.kill()
                self.sentinel.join()
            else:
                time.sleep(LOOK)

    def rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.told_to_stop and time.monotonic() < until:
            time.sleep(LOOK)


_seen = multiprocessing.RawValue("d", 0.0)  # time.monotonic() of the sentinel's latest round, for both sides to see


def _guard(*args: Any) -> None:
    """The sentinel's process. Its workers end with it: they would hold their jobs."""
    end_with_parent()
    os.register_at_fork(after_in_child=end_with_parent)
    Sentinel(*args)


def _is_busy(worker):
    """Whether a worker has a job in hand; asked past the lock of its timer, which a dead one may hold."""
    return worker.is_alive() and worker.timer.get_obj().value > 0
