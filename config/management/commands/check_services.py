from typing import Any

from django.core.checks import ERROR, Warning
from django.core.checks.registry import registry
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.checks import NOT_CHECKED

FATAL = ("config.E002", "config.E003")  # no token, or one that Telegram does not know


class Command(BaseCommand):
    help = "Ask Telegram, TMDb and our own services whether every setting is right; says what is wrong and what to do."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--quiet", action="store_true", help="say only what is wrong")
        parser.add_argument("--lenient", action="store_true", help="fail only where the bot cannot run at all")

    def handle(self, quiet: bool = False, lenient: bool = False, **options: Any) -> None:
        """Run each check tagged "services"; its docstring is printed when it finds no problem."""
        failed = unknown = fatal = 0
        for check in sorted(registry.get_checks(include_deployment_checks=True), key=lambda check: check.__module__):
            if "services" not in check.tags:
                continue
            meaning = (check.__doc__ or "").strip()
            try:
                problems = check(app_configs=None, databases=None)
            except Exception as error:  # nothing that a service answers may end the start
                problems = [Warning(f"“{meaning}” could not be checked: {type(error).__name__}.")]
            for problem in problems:
                if problem.id == NOT_CHECKED:
                    if not quiet:
                        self.stdout.write(f"skipped {meaning} Not checked: {problem.msg}")
                    continue
                serious = problem.level >= ERROR
                failed += serious
                unknown += not serious
                fatal += serious and problem.id in FATAL
                style = self.style.ERROR if serious else self.style.WARNING
                verdict = "wrong  " if serious else "unknown"
                self.stderr.write(style(f"{verdict} {problem.msg} {problem.hint or ''}".rstrip()))
            if not problems and not quiet:
                self.stdout.write(f"ok      {meaning}")
        if lenient and not fatal:
            return
        if unknown and not failed:
            raise CommandError("Some settings could not be checked.")
        if failed:
            raise CommandError(f"{failed} {'setting is' if failed == 1 else 'settings are'} wrong.")
