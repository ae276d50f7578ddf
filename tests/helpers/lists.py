"""Lists of films as the tests press them."""


def nth(page, number):
    """The text of the button of a list's film with this number."""
    return next(b.text for row in page.buttons for b in row if b.text.startswith(f"{number}. "))
