"""Anna sends files, and each is imported to the end."""

import pytest

from ratings.tasks import import_files
from users.models import User


@pytest.fixture
def user(anna):
    return User.objects.create(pk=anna.id, language="en")


@pytest.fixture
def send(anna, handle):
    """send(content): Anna sends a file, and all there is to do is done; returns the message that told of it."""

    def send(content, name="ratings.csv", mime_type="text/csv"):
        content = content.encode() if isinstance(content, str) else content
        anna.send_document(name, content, mime_type)
        handle()
        told = anna.chat[-1]
        import_files()
        return told

    return send
