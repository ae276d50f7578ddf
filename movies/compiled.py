"""A query that is compiled once: building it for every card costs Django more than running it costs the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db import connection

if TYPE_CHECKING:
    from django.db.models.expressions import Col
    from django.db.models.functions.comparison import Coalesce
    from django.db.models.sql.compiler import SQLCompiler

    from movies.models import Movie


class CompiledQuery:
    """Rows of a queryset that is always built in the same way, with other values.

    `build` makes the queryset. The examples stand in the compiled SQL's parameters where values will stand, so they
    must be unlike all else in it; a value is of its example's type, and a text holds no wildcard of LIKE.
    """

    def __init__(self, build: Callable, **examples: Any) -> None:
        self.build, self.examples = build, examples
        self.plans = {}  # by the kind of database

    def rows(self, **values: Any) -> list[Any | Movie]:
        """The model's instances, with the queryset's annotations."""
        plan = self.plans.get(connection.vendor) or self.compile()
        compiler, sql, params, converters, model, first, last, names = plan
        with connection.cursor() as cursor:
            cursor.execute(sql, [self.filled_in(param, values) for param in params])
            rows = cursor.fetchall()
        found = []
        for row in compiler.apply_converters(rows, converters):
            instance = model.from_db(connection.alias, names, row[first:last])
            for name, place in compiler.annotation_col_map.items():
                setattr(instance, name, row[place])
            found.append(instance)
        return found

    def compile(
        self,
    ) -> (
        tuple[
            SQLCompiler,
            str,
            tuple[int, int, str, str, str],
            dict[int, tuple[list[Callable], Col] | tuple[list[Callable], Coalesce]],
            type[Movie],
            int,
            int,
            list[str],
        ]
        | tuple[
            SQLCompiler,
            str,
            tuple[int, int],
            dict[int, tuple[list[Callable], Col] | tuple[list[Callable], Coalesce]],
            type[Movie],
            int,
            int,
            list[str],
        ]
    ):
        compiler = self.build(**self.examples).query.get_compiler(connection.alias)
        sql, params = compiler.as_sql()
        places = compiler.klass_info["select_fields"]
        first, last = places[0], places[-1] + 1
        names = [column[0].target.attname for column in compiler.select[first:last]]
        converters = compiler.get_converters([column[0] for column in compiler.select[: compiler.col_count]])
        plan = compiler, sql, params, converters, compiler.klass_info["model"], first, last, names
        self.plans[connection.vendor] = plan
        return plan

    def filled_in(self, param: int | str, values: dict[str, str | int]) -> int | str:
        for name, example in self.examples.items():
            if param == example:
                return values[name]
            if isinstance(example, str) and isinstance(param, str) and example in param:
                return param.replace(example, values[name])
        return param
