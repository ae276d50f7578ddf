"""Charts as SVG, drawn on the server: shapes and classes only, the colours are the stylesheet's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.html import format_html, format_html_join

if TYPE_CHECKING:
    from django.utils.safestring import SafeString


def bar(parts: list[tuple[str, int]]) -> SafeString:
    """One bar of (class, number), each as wide as its share and none too thin to be seen; it is for the eye alone."""
    parts = [(tone, number) for tone, number in parts if number]
    total = sum(number for tone, number in parts)
    if not total:
        return format_html('<svg class="bar" viewBox="0 0 1000 1" preserveAspectRatio="none" aria-hidden="true"></svg>')
    thin = 8
    room = 1000 - thin * len(parts)
    shapes, x = [], 0.0
    for tone, number in parts:
        width = thin + room * number / total
        shapes.append((f"{x:.1f}", f"{width:.1f}", tone))
        x += width
    return format_html(
        '<svg class="bar" viewBox="0 0 1000 1" preserveAspectRatio="none" aria-hidden="true">{}</svg>',
        format_html_join("", '<rect x="{}" y="0" width="{}" height="1" class="fill {}"/>', shapes),
    )


def columns(numbers: list[int], label: str, names: list[str]) -> SafeString:
    """A column for each number, oldest first; `label` says in words what the picture shows, `names` of each column."""
    height, step = 100, 1000 / max(1, len(numbers))
    highest = max([*numbers, 1])
    shapes = []
    for place, (number, name) in enumerate(zip(numbers, names, strict=True)):
        tall = height * number / highest if number else 0
        tall = max(tall, 2) if number else 0.5
        sizes = (place * step + step * 0.1, height - tall, step * 0.8, tall)
        shapes.append((*(f"{number:.1f}" for number in sizes), name))
    return format_html(
        '<svg class="columns" viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>',
        label,
        format_html_join("", '<rect x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>', shapes),
    )


def progress(done: int, total: int, label: str) -> SafeString:
    """How far something has come."""
    share = 1000 * min(1.0, done / total) if total else 0
    return format_html(
        '<svg class="progress" viewBox="0 0 1000 1" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<rect x="0" y="0" width="{}" height="1" class="fill busy"/></svg>',
        label,
        round(share),
    )
