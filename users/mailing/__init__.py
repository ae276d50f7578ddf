"""Messages that operators write: to one person, or to many as a broadcast."""
