"""Charts as SVG, drawn on the server: shapes and classes only, the stylesheet gives the colours.

Each has a viewBox 1000 units wide and is stretched to the width of its container.
"""

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

MIN_BAR_PART_UNITS = 8


def bar(parts: list[tuple[str, int]]) -> SafeString:
    """One stacked bar of (class, number) parts, each visible however small; hidden from screen readers."""
    parts = [(tone, number) for tone, number in parts if number]
    total = sum(number for _tone, number in parts)
    room = 1000 - MIN_BAR_PART_UNITS * len(parts)
    shapes, x = [], 0.0
    for tone, number in parts:
        width = MIN_BAR_PART_UNITS + room * number / total
        shapes.append((f"{x:.1f}", f"{width:.1f}", tone))
        x += width
    return format_html(
        '<svg class="bar" viewBox="0 0 1000 1" preserveAspectRatio="none" aria-hidden="true">{}</svg>',
        format_html_join("", '<rect x="{}" y="0" width="{}" height="1" class="fill {}"/>', shapes),
    )


def columns(numbers: list[int], label: str, names: list[str]) -> SafeString:
    """A column chart of the numbers, oldest first; `label` describes the picture, `names` are the columns' tooltips."""
    height, step = 100, 1000 / max(1, len(numbers))
    highest = max([*numbers, 1])
    shapes = []
    for position, (number, name) in enumerate(zip(numbers, names, strict=True)):
        tall = max(height * number / highest, 2) if number else 0.5
        sizes = (position * step + step * 0.1, height - tall, step * 0.8, tall)
        shapes.append((*(f"{size:.1f}" for size in sizes), name))
    return format_html(
        '<svg class="columns" viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>',
        label,
        format_html_join("", '<rect x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>', shapes),
    )


def progress_bar(done: int, total: int, label: str) -> SafeString:
    share = 1000 * min(1.0, done / total) if total else 0
    return format_html(
        '<svg class="progress" viewBox="0 0 1000 1" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<rect x="0" y="0" width="{}" height="1" class="fill busy"/></svg>',
        label,
        round(share),
    )
