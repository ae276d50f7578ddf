"""What an upgrade leaves as it was: updates that the webhook had stored."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from config.models import Update
from tests.helpers.updates import message

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE = [("config", "0008_rate_limit_updated_at")]


@pytest.fixture
def before_the_queue():
    executor = MigrationExecutor(connection)
    executor.migrate(BEFORE)
    yield executor.loader.project_state(BEFORE).apps.get_model("config", "Update")
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def test_updates_that_wait_go_on_waiting_and_ended_ones_are_known(before_the_queue):
    waiting, at_hand, done = range(3)
    for number, state in ((7, done), (8, at_hand), (9, waiting)):
        body = str(message(number, "/help")) if state != done else ""
        before_the_queue.objects.create(update_id=number, chat="501", body=body, state=state, tries=1, received_at=1)
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())
    rows = Update.objects.order_by("update_id").values_list("update_id", "state", "chat", "attempts")
    assert list(rows) == [
        (7, Update.State.HANDLED, "", 1),
        (8, Update.State.WAITING, "501", 1),
        (9, Update.State.WAITING, "501", 1),
    ]
    assert all(Update.objects.filter(state=Update.State.WAITING).values_list("body", flat=True))
