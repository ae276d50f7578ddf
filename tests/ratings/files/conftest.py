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


@pytest.fixture
def press(anna, handle):
    """press(message, "Undo"): Anna presses the button that begins so, and all there is to do is done."""

    def do(message, label):
        texts = [button.text for row in message.buttons for button in row]
        query = anna.press(message, next(text for text in texts if text.startswith(label)))
        handle()
        import_files()
        return query

    return do
