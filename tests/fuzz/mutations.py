"""What the fuzz targets share: how much they try, and how a good example is spoilt.

In the suite each tries a few examples, the same every time; `make fuzz MINUTES=10` (python -m tests.fuzz) tries new
ones for so long.
"""

import copy
import os
import resource
import sys

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))  # 0: the few of the suite
bounded = settings(
    max_examples=EXAMPLES or 60,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)

# What breaks programs: NUL, half a surrogate pair, emoji of many units, characters that change the direction, markup,
# characters of SQL and of regular expressions
PIECES = [
    "\0", "\ud83d", "\udc00", "👩\u200d👩\u200d👧\u200d👦", "\u202e", "ف", "İ", "ß", "<b>", "&amp;", "%", "_",
    "\\", "'", '"', "`", "\n", "\t", " ", ":", "/", "|", "(", "*", "٣", "²", "9" * 30, "-1", "0", "{}",
    "\U0010ffff", "\ufeff", "\u2028",
]  # fmt: skip
TEXT = st.lists(st.sampled_from(PIECES) | st.text(st.characters(), max_size=3), max_size=12).map("".join)
LONG = st.builds(lambda text, times: (text * times)[:5000], TEXT, st.integers(1, 2000))
WHOLE = st.sampled_from([0, 1, -1, 603, 2**31 - 1, 2**31, 2**52, 2**53, 2**63 - 1, 2**63, 10**400]) | st.integers()
JUNK = st.recursive(
    st.none() | st.booleans() | WHOLE | st.floats() | TEXT,
    lambda some: st.lists(some, max_size=4) | st.dictionaries(TEXT, some, max_size=4),
    max_leaves=6,
)


def places_in(tree):
    """Every (container, key) of a tree of dictionaries and lists, outermost first."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(pairs):
        yield tree, key
        yield from places_in(value)


@st.composite
def spoilt(draw, trees, most=3):
    """One of the trees with up to `most` values left out, put elsewhere or replaced, mostly by their like."""
    tree = copy.deepcopy(draw(st.sampled_from(trees)))
    for _time in range(draw(st.integers(0, most))):
        places = list(places_in(tree))
        if not places:
            break
        container, key = places[draw(st.integers(0, len(places) - 1))]
        old = container[key]
        how = draw(st.sampled_from(["like", "like", "like", "junk", "gone", "moved"]))
        if how == "gone":
            del container[key]
        elif how == "moved":
            there, name = places[draw(st.integers(0, len(places) - 1))]
            container[key] = copy.deepcopy(there[name])
        elif how == "like" and isinstance(old, str):
            container[key] = draw(TEXT | LONG | st.builds(str.__add__, st.just(old), TEXT))
        elif how == "like" and isinstance(old, (int, float)):
            container[key] = draw(WHOLE | st.floats())
        else:
            container[key] = draw(JUNK)
    return tree


def most_memory():
    """The most memory this process has had so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
