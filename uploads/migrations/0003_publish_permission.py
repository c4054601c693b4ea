from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('uploads', '0002_resumable'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='dataset',
            options={'permissions': [('publish_dataset', 'Can publish datasets as tables of the database')]},
        ),
    ]
