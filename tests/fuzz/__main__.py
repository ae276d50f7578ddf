"""Fuzzing for as long as one likes: one target after another, in rounds of new examples, until one fails or time is up.

    .venv/bin/python -m tests.fuzz MINUTES [TARGET …]

MINUTES are for each target; a target is the name of a file here without `test_`. A round's seed is printed, so that it
can be run again: FUZZ_EXAMPLES=… pytest tests/fuzz/test_TARGET.py --hypothesis-seed=SEED.
"""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
ROUND = 500  # examples of each test in a round


def main(minutes, *targets):
    for target in targets or sorted(path.stem.removeprefix("test_") for path in HERE.glob("test_*.py")):
        deadline, rounds = time.monotonic() + float(minutes) * 60, 0
        while time.monotonic() < deadline:
            seed = random.randrange(2**32)
            run = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", "-x", "--durations=0", "--hypothesis-seed", str(seed),
                 str(HERE / f"test_{target}.py")],
                env={**os.environ, "FUZZ_EXAMPLES": str(ROUND)},
                capture_output=True,
                text=True,
            )  # fmt: skip
            if run.returncode:
                print(run.stdout[:3000], run.stdout[-6000:], run.stderr[-2000:], f"{target}: seed {seed}", sep="\n")
                return 1
            rounds += 1
        print(f"{target}: {rounds} rounds of {ROUND} examples a test in {minutes} minutes, nothing found", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:] or ["10"]))
