"""Data alone go to stdout: what plugins print goes to stderr, and the help stays where it was."""

import json
import sys

import pytest
import typer

from eden_bench.cli import main
from eden_bench.cli.streams import data_alone_on_stdout, print_text, stdout


@pytest.mark.parametrize("words", [["list", "methods"], ["data", "list"]])
def test_what_a_plugin_prints_as_it_loads_does_not_spoil_json(words, tmp_path, capsys):
    plugin = tmp_path / "noisy.py"
    plugin.write_text('print("noise")')
    with pytest.raises(SystemExit) as ended:
        main([*words, "--plugin", str(plugin), "--json"])
    said = capsys.readouterr()
    assert ended.value.code == 0
    assert json.loads(said.out)
    assert "noise" in said.err


@pytest.mark.parametrize("words", [["data", "list", "--help"], ["run", "--help"], ["--help"]])
def test_help_is_data(words, capsys):
    with pytest.raises(SystemExit):
        main(words)
    assert capsys.readouterr().out.startswith("Usage: eden-bench")


def test_a_command_within_a_command_writes_to_the_same_stream(capsys):
    @data_alone_on_stdout()
    def inner():
        print("noise")
        print_text("data", end="")

    @data_alone_on_stdout()
    def outer():
        before = stdout()
        inner()
        assert stdout() is before
        print_text("more")
        typer.echo("said", err=True)

    outer()
    assert stdout() is sys.stdout
    assert capsys.readouterr() == ("datamore\n", "noise\nsaid\n")
