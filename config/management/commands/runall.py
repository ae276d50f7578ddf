import contextlib
import functools
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from telebot.apihelper import ApiException

from config.arguments import require_within
from config.bot.client import TelegramUnavailable
from config.jobs.enqueue import async_task
from config.jobs.parent_death import end_with_parent
from config.progress import stop_on_signals

STOP_TIMEOUT_SECONDS = 4  # for processes to finish; then they are killed
MAX_RESTART_DELAY_SECONDS = 60
RULE = "─" * 78


class Child:
    """One of our processes, in a session of its own, so that a Ctrl-C reaches it only through us.

    A signal goes to its main process alone: SIGTERM to the whole group of qcluster hangs it. If we are killed, the
    kernel sends that signal.
    """

    def __init__(self, name: str, command: list[str], verbose: bool = False, **variables: str) -> None:
        self.name, self.command, self.verbose, self.variables = name, command, verbose, variables
        self.restart_delay = 1.0
        self.start()

    def start(self) -> None:
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603 our own commands
            self.command,
            cwd=settings.BASE_DIR,
            env={**os.environ, **({"LOG_LEVEL": "DEBUG"} if self.verbose else {}), **self.variables},
            stdout=None if self.verbose else subprocess.DEVNULL,  # that it has started; events go to the log
            start_new_session=True,
            preexec_fn=functools.partial(end_with_parent, signal.SIGTERM),
        )

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def terminate(self) -> None:
        if self.running:
            self.process.terminate()

    def kill(self) -> None:
        """Kill the process and its own children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Command(BaseCommand):
    help = "Everything on this machine: migrations, web, worker, bot and, without a token, the sandbox."
    requires_system_checks = ["__all__"]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="of the web server (default: 8000)")
        parser.add_argument("--verbose", action="store_true", help="print all that the processes say, not only events")

    def handle(self, port: int, verbose: bool = False, **options: Any) -> None:
        require_within("--port", port, 1, 65_535)
        stop = stop_on_signals()
        self.refuse_taken_port(port, "another --port, or PORT=8001 make run")
        call_command("migrate", verbosity=0)
        children: list[Child] = []
        try:
            if settings.SANDBOX:
                self.refuse_taken_port(settings.SANDBOX_PORT, "another SANDBOX_PORT")
                sandbox = [sys.executable, "-m", "sandbox", "--port", str(settings.SANDBOX_PORT)]
                sandbox += ["--data", str(settings.SANDBOX_DIR)]
                children.append(Child("sandbox", sandbox, verbose))
                self.wait_for_port(settings.SANDBOX_PORT, children[0], stop)
                if not children[0].running:
                    raise CommandError("The sandbox has not started: its reason is above.")
            call_command("check_services", quiet=True, lenient=True)
            manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
            gunicorn = [sys.executable, "-m", "gunicorn", "--log-level", "debug" if verbose else "warning"]
            web = Child("web", [*gunicorn, "--bind", f"127.0.0.1:{port}"], verbose)
            children.append(web)
            children.append(Child("worker", [*manage, "qcluster"], verbose))
            if settings.Q_CLUSTERS:
                for name in settings.Q_CLUSTER["ALT_CLUSTERS"]:
                    children.append(Child(f"worker of {name}", [*manage, "qcluster"], verbose, Q_CLUSTER_NAME=name))
            if not settings.TELEGRAM_WEBHOOK_URL:
                children.append(Child("bot", [*manage, "runbot"], verbose))
            self.wait_for_port(port, web, stop)
            if settings.SANDBOX:  # so that a mistyped title finds its film on the first day, too
                async_task("ratings.tasks.fetch_most_voted_movies")
            self.welcome(port)
            self.supervise(children, stop)
        finally:
            self.stop_all(children)
        self.say("Stopped.")

    def say(self, text: str) -> None:
        """Print at once; what is read no longer, as after `| head`, is no error."""
        try:
            self.stdout.write(text)
            self.stdout.flush()  # into a file, too, it is to be there now
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered goes there

    def refuse_taken_port(self, port: int, remedy: str) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise CommandError(f"Port {port} is taken by another program: choose {remedy}.") from None

    def wait_for_port(self, port: int, child: Child, stop: threading.Event) -> None:
        while child.running and not stop.is_set():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                return
            time.sleep(0.1)

    def welcome(self, port: int) -> None:
        lines = ["", RULE, "Kinoteka is running."]
        if settings.SANDBOX:
            lines.append(f"  Chat    {settings.SANDBOX_URL}/   (Telegram and TMDb are fake servers on this machine)")
        else:
            lines.append(f"  Chat    {self.chat()}")
        lines.append(f"  Admin   http://127.0.0.1:{port}/admin/   {self.login()}")
        lines.append("  Ctrl-C stops everything.")
        self.say("\n".join([*lines, RULE, ""]))

    def chat(self) -> str:
        """The address of the bot's chat."""
        from config.bot.router import bot

        try:
            return f"{settings.TELEGRAM_WEB_URL}/{bot.user.username}"
        except (ApiException, TelegramUnavailable):
            return "your bot at Telegram, which does not answer just now"

    def login(self) -> str:
        """How to log in to the admin. Makes a first administrator where there is none, its password saved in data/."""
        users, path = get_user_model().objects, settings.DATA_DIR / "admin_password"
        if not users.filter(is_superuser=True).exists():
            password = secrets.token_urlsafe(9)
            try:
                path.parent.mkdir(exist_ok=True)
                path.touch(mode=0o600)
                path.write_text(password)
            except OSError as error:
                raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
            users.create_superuser("admin", password=password)
        admin = users.filter(username="admin").first()
        if admin and path.exists() and admin.check_password(password := path.read_text()):
            # with DEBUG off what is printed here may end in a log that others read
            return f"admin / {password}" if settings.DEBUG else f"admin, with the password in {path}"
        return "log in as the administrator you made (manage.py changepassword NAME sets a new password)"

    def supervise(self, children: list[Child], stop: threading.Event) -> None:
        """Until Ctrl-C: start again whatever ends by itself, after a growing delay."""
        while not stop.wait(0.5):
            for child in children:
                if child.running or time.monotonic() < child.started_at + child.restart_delay:
                    continue
                long_lived = time.monotonic() - child.started_at > MAX_RESTART_DELAY_SECONDS
                child.restart_delay = 1.0 if long_lived else min(child.restart_delay * 2, MAX_RESTART_DELAY_SECONDS)
                self.stderr.write(f"{child.name} ended (status {child.process.returncode}); starting it again.")
                child.kill()
                child.start()

    def stop_all(self, children: list[Child]) -> None:
        """The sandbox last, so that the bot can still confirm what it has handled."""
        ours = [child for child in children if child.name != "sandbox"]
        for child in ours:
            child.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        while any(child.running for child in ours) and time.monotonic() < deadline:
            time.sleep(0.05)
        for child in reversed(children):
            child.kill()
