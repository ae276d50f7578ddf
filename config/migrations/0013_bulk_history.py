from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('config', '0012_bulk_actions'),
    ]

    operations = [
        migrations.AlterModelTableComment(
            name='bulkbatch',
            table_comment='Rows of bulk actions, those done included',
        ),
    ]
