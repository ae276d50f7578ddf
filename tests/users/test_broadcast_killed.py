"""A broadcast whose worker is killed while it sends: everybody gets the message once, nobody twice."""

import time

import pytest

from config.jobs.enqueue import async_task
from tests.conftest import leases_run_out
from tests.helpers.waiting import wait_until
from users.mailing import sender
from users.mailing.models import Broadcast, BroadcastState, Delivery, Recipient
from users.models import User

pytestmark = pytest.mark.django_db

PEOPLE = 150
TEXT = "Новости"


@pytest.fixture
def crowd(sandbox):
    """People to whom the bot may write."""
    persons = [sandbox.telegram.person(f"Зритель {number}") for number in range(PEOPLE)]
    for person in persons:
        person.send("/start")
    User.objects.bulk_create(User(pk=person.id, language="ru") for person in persons)
    return persons


def copies(person):
    return sum(message.text == TEXT for message in person.chat)


def states(broadcast):
    return list(Recipient.objects.filter(broadcast=broadcast).values_list("state", flat=True))


def kill_once_sent(worker, broadcast, wanted):
    """kill -9 for a cluster as soon as so many have got the message."""
    wait_until(lambda: states(broadcast).count(Delivery.SENT) >= wanted, 60, lambda: worker.output)
    worker.kill()


def test_kill_9_in_the_midst_of_sending_loses_only_what_was_under_way_and_repeats_nothing(sandbox, start, crowd):
    sandbox.telegram.latency = 0.2  # so that several are under way at any moment
    broadcast = Broadcast.objects.create(title="x", text_ru=TEXT, text_en=TEXT)
    assert sender.start(broadcast)
    assert not sender.start(broadcast)
    killed = 0
    for wanted in (15, 60):
        kill_once_sent(start("qcluster", Q_WORKERS="2"), broadcast, wanted)
        killed += states(broadcast).count(Delivery.CLAIMED)
        Recipient.objects.filter(state=Delivery.CLAIMED).update(
            claimed_at=int(time.time()) - sender.CLAIM_TTL_SECONDS - 1
        )
        leases_run_out()
        async_task(sender.TASK, save=False)
    assert killed
    worker = start("qcluster", Q_WORKERS="2")

    def is_done():
        broadcast.refresh_from_db()
        return broadcast.state == BroadcastState.DONE

    wait_until(is_done, 90, lambda: worker.output)
    counted = [copies(person) for person in crowd]
    assert max(counted) == 1
    found = states(broadcast)
    assert len(found) == PEOPLE
    assert set(found) <= {Delivery.SENT, Delivery.UNKNOWN}
    assert sum(counted) >= found.count(Delivery.SENT) >= PEOPLE - killed
