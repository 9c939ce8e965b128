"""Make commands start fast: options that were not given skip typer's conversion, which imports pydantic (0.12 s)."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

from eden_bench.cli.streams import data_alone_on_stdout


class LeanCommand(TyperCommand):
    """A command whose unset options stay None without conversion, and whose data alone go to stdout."""

    def get_params(self, ctx: Any) -> Any:  # noqa: ANN401 - click's types or typer's own copy of them
        """Return the parameters, made lean."""
        return [_lean(parameter) for parameter in super().get_params(ctx)]

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401
        """Run the command; its help was printed before."""
        with data_alone_on_stdout():
            return super().invoke(ctx)


class LeanGroup(TyperGroup):
    """A group whose unset options stay None without conversion."""

    def get_params(self, ctx: Any) -> Any:  # noqa: ANN401
        """Return the parameters, made lean."""
        return [_lean(parameter) for parameter in super().get_params(ctx)]


def _lean(parameter: Any) -> Any:  # noqa: ANN401
    """Skip conversion of options that were not given; a callback (as --help has) is called all the same."""
    if "process_value" in vars(parameter) or parameter.required:
        return parameter
    convert, unset = parameter.process_value, () if parameter.multiple else None

    def process_value(ctx: Any, value: Any) -> Any:  # noqa: ANN401
        if value is not None:
            return convert(ctx, value)
        return parameter.callback(ctx, parameter, unset) if parameter.callback else unset

    parameter.process_value = process_value
    return parameter
