"""Run the sandbox by itself: python -m sandbox [--port 8081]"""

import argparse
import os
import signal
import threading
from pathlib import Path

from sandbox.server import Sandbox
from sandbox.telegram.server import TOKEN

DATA = Path(__file__).resolve().parent.parent / "data" / "sandbox"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="Telegram and TMDb on this machine.")
    parser.add_argument("--port", type=int, default=8081, help="0 takes a free one (default: 8081)")
    parser.add_argument("--data", type=Path, default=DATA, help=f"where chats and ratings are kept (default: {DATA})")
    parser.add_argument("--forget", action="store_true", help="keep nothing")
    options = parser.parse_args()
    if not 0 <= options.port <= 65_535:
        parser.exit(1, f"--port must be a number from 0 to 65535, not {options.port}.\n")
    port, folder = options.port, None if options.forget else options.data
    if os.environ.get("TELEGRAM_BOT_TOKEN", TOKEN) not in ("", TOKEN):
        parser.exit(1, "TELEGRAM_BOT_TOKEN is set to a real bot's token: the fakes do not run beside it.\n")
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    try:
        sandbox = Sandbox(port, demo=True, folder=folder)
    except OSError as error:
        if name := error.filename:
            parser.exit(1, f"{name} cannot be written: {error.strerror}.\n")
        parser.exit(1, f"Port {port} cannot be used: {error.strerror}. Try another: --port 0\n")
    with sandbox:
        print(f"Telegram and TMDb, the sandbox: {sandbox.url}/", flush=True)
        done.wait()


if __name__ == "__main__":
    main()
