from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("movies", "0011_plain_names"),
    ]

    operations = [
        migrations.DeleteModel(name="KnownChanges"),
        migrations.RemoveField(model_name="movie", name="changed_at"),
    ]
