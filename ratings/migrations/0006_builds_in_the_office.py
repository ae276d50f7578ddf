from django.db import migrations, models


def let_operators_build(apps, schema_editor):
    """Operators look at the builds and ask for one."""
    ContentType, Permission = apps.get_model("contenttypes", "ContentType"), apps.get_model("auth", "Permission")
    group, _ = apps.get_model("auth", "Group").objects.get_or_create(name="operators")
    content_type, _ = ContentType.objects.get_or_create(app_label="ratings", model="build")
    for action in ("view", "change"):
        permission, _ = Permission.objects.get_or_create(
            content_type=content_type,
            codename=f"{action}_build",
            defaults={"name": f"Can {action} build of recommendations"},
        )
        group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("ratings", "0005_names_for_people"),
        ("config", "0004_groups"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [
        migrations.AddField(
            "build",
            "asked_by",
            models.TextField(
                blank=True,
                db_comment="a name of the back office, the command line or the clock",
                db_default="",
                default="",
            ),
        ),
        migrations.AddField(
            "build",
            "error",
            models.TextField(
                blank=True, db_comment="why nothing came of it; empty: no error", db_default="", default=""
            ),
        ),
        migrations.AlterField(
            model_name='build',
            name='archive',
            field=models.TextField(blank=True, db_comment='path of a MovieLens archive; or empty', db_default='', default='', verbose_name='MovieLens archive'),
        ),
        migrations.AlterField(
            model_name='build',
            name='archive_people',
            field=models.PositiveIntegerField(db_default=0, default=0, verbose_name='people of the archive'),
        ),
        migrations.AlterField(
            model_name='build',
            name='archive_ratings',
            field=models.PositiveIntegerField(db_default=0, default=0, verbose_name='ratings of the archive'),
        ),
        migrations.AlterField(
            model_name='build',
            name='films',
            field=models.PositiveIntegerField(db_comment='that have neighbours', db_default=0, default=0, verbose_name='films with neighbours'),
        ),
        migrations.AlterField(
            model_name='build',
            name='neighbours',
            field=models.PositiveIntegerField(db_comment='rows written', db_default=0, default=0, verbose_name='neighbours'),
        ),
        migrations.AlterField(
            model_name='build',
            name='order_strength',
            field=models.FloatField(db_comment='0-1: how much the order in which people rate says; scoring needs it', db_default=0, default=0, verbose_name='how much the order of ratings says'),
        ),
        migrations.AlterField(
            model_name='build',
            name='people',
            field=models.PositiveIntegerField(db_comment='of the bot, who have rated', db_default=0, default=0, verbose_name='people of the bot'),
        ),
        migrations.AlterField(
            model_name='build',
            name='ratings',
            field=models.PositiveIntegerField(db_comment='of theirs', db_default=0, default=0, verbose_name='ratings of theirs'),
        ),
        migrations.RunPython(let_operators_build, migrations.RunPython.noop),
    ]
