from django.db import migrations

LOOK = [
    ("movies", "movie", "film", ["view"]),
    ("users", "user", "person", ["view"]),
]
ACT = [
    ("movies", "movie", "film", ["change"]),
    ("users", "user", "person", ["change", "delete"]),
    ("ratings", "import", "import", ["view"]),
    ("django_q", "schedule", "Scheduled task", ["view", "change"]),
    ("django_q", "success", "Successful task", ["view", "change"]),
    ("django_q", "failure", "Failed task", ["view", "change"]),
    ("django_q", "ormq", "Queued task", ["view"]),
]
GROUPS = {"support": LOOK, "operators": LOOK + ACT}


def make(apps, schema_editor):
    """Operators look and act, support looks at people and films."""
    Group, Permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    ContentType = apps.get_model("contenttypes", "ContentType")
    for group_name, models in GROUPS.items():
        group, _ = Group.objects.get_or_create(name=group_name)
        for app_label, model, name, actions in models:
            # Django itself makes these rows only after the last migration.
            content_type, _ = ContentType.objects.get_or_create(app_label=app_label, model=model)
            for action in actions:
                permission, _ = Permission.objects.get_or_create(
                    content_type=content_type, codename=f"{action}_{model}", defaults={"name": f"Can {action} {name}"}
                )
                group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("config", "0003_signs"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
