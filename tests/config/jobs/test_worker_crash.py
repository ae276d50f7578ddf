"""A process of a cluster that is killed alone, as the kernel does it for want of memory, stops nothing for long."""

import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.models import Schedule, Task

from config.jobs import cluster
from config.jobs.enqueue import async_task
from config.jobs.schedules import sync_schedules
from tests.conftest import Process, queued, wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes as Linux lists them"),
]

WORKERS = 2


def children(pid):
    """The processes that a process has started, in that order."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def processes_of(running):
    """{role: processes}, as django-q2 starts them: a sentinel, and by it the workers, the monitor and the pusher."""
    sentinel = wait_until(lambda: children(running.process.pid), 30, lambda: running.output)[-1]
    wait_until(lambda: len(children(sentinel)) == WORKERS + 2, 30, lambda: running.output)
    *workers, monitor, pusher = children(sentinel)
    return {"sentinel": [sentinel], "worker": workers, "monitor": [monitor], "pusher": [pusher]}


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def serves(running, seconds=60):
    """Wait until a job has been done; a wake-up job that was lost is enqueued again, as the scheduler does it."""
    rung = {}

    def served():
        if time.monotonic() > max(rung.values(), default=0.0) + 2:
            rung[async_task("users.tasks.revoke_sessions")] = time.monotonic()
        return Task.objects.filter(pk__in=list(rung)).exists()

    wait_until(served, seconds, lambda: running.output)


@pytest.fixture
def running(start):
    running = start("qcluster", Q_WORKERS=str(WORKERS))
    serves(running)
    return running


def test_a_cluster_goes_on_after_the_sudden_death_of_any_of_its_processes(running):
    for role in ("worker", "monitor", "pusher", "sentinel"):
        # An idle worker waits for work with the lock of the queue in its hands. That is where it goes after its last
        # job; without this pause the test would only be easier.
        time.sleep(0.5)
        for pid in processes_of(running)[role]:
            os.kill(pid, signal.SIGKILL)
        serves(running)
    assert running.terminate() == 0


def test_the_scheduler_runs_every_15_seconds_and_what_runs_by_the_minute_is_due_every_30(monkeypatch):
    sync_schedules()
    began = timezone.now()
    Schedule.objects.update(next_run=began + timedelta(seconds=50))
    now = [1000.0]
    monkeypatch.setattr(cluster, "time", SimpleNamespace(monotonic=lambda: now[0]))
    sentinel = cluster.Sentinel.__new__(cluster.Sentinel)  # whose __init__ would start processes
    sentinel.broker = get_broker()
    for second in range(16):
        now[0] = 1000.0 + second
        sentinel.run_scheduler()
    due = dict(Schedule.objects.values_list("name", "next_run"))
    assert due["build recommendations"] == began + timedelta(seconds=50), "what runs by the half hour has time"
    assert began + timedelta(seconds=30) <= due["upload posters"] <= timezone.now() + timedelta(seconds=30)
    assert queued() == []
    Schedule.objects.filter(name="upload posters").update(next_run=timezone.now())
    ran_at = []
    for second in range(16, 40):
        now[0] = 1000.0 + second
        sentinel.run_scheduler()
        ran_at += [second] * (len(queued()) - len(ran_at))
    assert ran_at == [30]


def test_a_sentinel_that_hangs_is_replaced(environment):
    program = (
        "import django; django.setup(); from config.jobs import cluster;"
        "cluster.SENTINEL_TIMEOUT_SECONDS = 3; cluster.Cluster().run()"
    )
    running = Process(["-c", program], {**environment, "DJANGO_SETTINGS_MODULE": "config.settings", "Q_WORKERS": "2"})
    try:
        serves(running)
        hanging = processes_of(running)
        for pid in hanging["sentinel"]:
            os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: not any(map(is_alive, sum(hanging.values(), []))), 60, lambda: running.output)
        serves(running)
        assert running.terminate() == 0
    finally:
        running.kill()


def test_nothing_goes_on_unguarded_when_the_main_process_is_killed(running):
    below = sum(processes_of(running).values(), [])
    os.kill(running.process.pid, signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, below)), 30)
