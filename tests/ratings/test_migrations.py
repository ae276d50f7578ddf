"""What an upgrade leaves as it was: rights of groups, and imports in progress."""

from collections.abc import Iterator

import pytest
from django.apps.registry import Apps
from django.contrib.auth.models import Group
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from ratings.models import Import
from users.models import User

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE = [("ratings", "0008_tmdb_fails_at_a_film")]


def migrate_to_latest() -> None:
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


@pytest.fixture
def before_standard_names() -> Iterator[Apps]:
    executor = MigrationExecutor(connection)
    executor.migrate(BEFORE)
    yield executor.loader.project_state(BEFORE).apps
    migrate_to_latest()


def test_a_group_keeps_its_rights_to_a_renamed_model(before_standard_names: Apps) -> None:
    models = before_standard_names
    content_type, _ = models.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label="ratings", model="build"
    )
    permission, _ = models.get_model("auth", "Permission").objects.get_or_create(
        content_type=content_type, codename="view_build"
    )
    models.get_model("auth", "Group").objects.create(name="watchers").permissions.add(permission)
    migrate_to_latest()
    kept = Group.objects.get(name="watchers").permissions.values_list("content_type__model", "codename")
    assert list(kept) == [("trainingrun", "view_trainingrun")]


def test_an_import_in_progress_goes_on_where_it_was(before_standard_names: Apps) -> None:
    user = User.objects.create(pk=5)
    state = {"reading": 2, "pages": 3, "total": 41, "done": [1], "ends": {"1": [603]}, "same": [], "moved": False}
    columns = {"user_id": user.pk, "started_at": 1, "crawl": state, "trouble": "HTTP 503", "quick": True}
    before_standard_names.get_model("ratings", "Import").objects.create(**columns)
    migrate_to_latest()
    run = Import.objects.get()
    assert run.pass_id == run.pk * 10 + 2
    assert run.reader_state == {
        "pass": 2,
        "total_pages": 3,
        "total_results": 41,
        "pages_read": [1],
        "edge_pages": {"1": [603]},
        "edges_confirmed": [],
        "list_changed": False,
    }
    assert (run.last_error, run.incremental) == ("HTTP 503", True)
