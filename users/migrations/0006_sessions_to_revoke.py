from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ("users", "0005_request_tokens"),
    ]

    operations = [
        migrations.RenameModel("OldSession", "SessionToRevoke"),
        migrations.AlterModelTable("SessionToRevoke", "sessions_to_revoke"),
        migrations.RenameIndex(
            "SessionToRevoke", new_name="sessions_to_revoke_by_next_try", old_name="old_sessions_by_next_try"
        ),
    ]
