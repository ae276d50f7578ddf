from django.db import migrations

LOOK = [("messagetemplate", "message template", ["view"]), ("directmessage", "message", ["add", "view"])]
ACT = [("messagetemplate", "message template", ["add", "change", "delete"])]
BROADCAST = [("broadcast", "broadcast", ["add", "change", "delete", "view"])]
GROUPS = {"support": LOOK, "operators": LOOK + ACT, "broadcasters": BROADCAST}


def make(apps, schema_editor):
    """Support and operators write to one person, operators edit templates; broadcasts have a group of their own."""
    Group, Permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    ContentType = apps.get_model("contenttypes", "ContentType")
    for group_name, models in GROUPS.items():
        group, _ = Group.objects.get_or_create(name=group_name)
        for model, name, actions in models:
            # Django itself makes these rows only after the last migration.
            content_type, _ = ContentType.objects.get_or_create(app_label="users", model=model)
            names = {f"{action}_{model}": f"Can {action} {name}" for action in actions}
            if model == "broadcast":
                names["send_broadcast"] = "Can send broadcasts"
            for codename, title in names.items():
                permission, _ = Permission.objects.get_or_create(
                    content_type=content_type, codename=codename, defaults={"name": title}
                )
                group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("users", "0009_mailing"),
        ("config", "0004_groups"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
