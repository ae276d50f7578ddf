from django.core.checks import ERROR
from django.core.checks.registry import registry
from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Ask Telegram, TMDb and our own services whether every setting is right; says what is wrong and what to do."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("--quiet", action="store_true", help="say only what is wrong")

    def handle(self, quiet=False, **options):
        """Each check tagged "services" in turn; its docstring is what it says when all is well."""
        failed = 0
        for check in sorted(registry.get_checks(include_deployment_checks=True), key=lambda check: check.__module__):
            if "services" not in check.tags:
                continue
            problems = check(app_configs=None, databases=None)
            for problem in problems:
                serious = problem.level >= ERROR
                failed += serious
                style = self.style.ERROR if serious else self.style.WARNING
                verdict = "wrong " if serious else "note  "
                self.stderr.write(style(f"{verdict} {problem.msg} {problem.hint or ''}".rstrip()))
            if not problems and not quiet:
                self.stdout.write(f"ok     {check.__doc__.strip()}")
        if failed:
            raise CommandError(f"{failed} {'setting is' if failed == 1 else 'settings are'} wrong.")
