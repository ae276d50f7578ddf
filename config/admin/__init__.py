"""The admin: its site, front page, long lists and charts. It imports nothing: the site is loaded while apps start."""
