from django.db import migrations


def allow(apps, schema_editor):
    """Operators look at changes of watchlists that TMDb has still to hear."""
    Group, Permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    ContentType = apps.get_model("contenttypes", "ContentType")
    # Django itself makes these rows only after the last migration.
    content_type, _ = ContentType.objects.get_or_create(app_label="ratings", model="watchlistwrite")
    permission, _ = Permission.objects.get_or_create(
        content_type=content_type, codename="view_watchlistwrite", defaults={"name": "Can view watchlist change"}
    )
    Group.objects.get_or_create(name="operators")[0].permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("ratings", "0023_evening_winner_message"),
        ("config", "0004_groups"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(allow, migrations.RunPython.noop)]
