"""Every command that shows stored records tells damaged ones in the same way."""

import pytest

from eden_bench.cli.compare import _tables
from eden_bench.cli.explain import explain
from eden_bench.cli.report_files import of_folder
from eden_bench.cli.stored_records import stored_in
from eden_bench.errors import DataMissing, UsageError
from tests.eden_bench.stored import store_three


def damage(out, count):
    for folder in sorted((out / "records").iterdir())[:count]:
        (folder / "cases.csv").write_text("case\n", encoding="utf-8")


def test_a_damaged_record_is_left_out_and_named(tmp_path, capsys):
    store_three(tmp_path)
    damage(tmp_path, 2)
    found = stored_in(tmp_path)
    assert len(found.records) == 7
    assert len(found.left_out) == 2
    assert all(line.startswith("left out: records/") for line in found.left_out)
    assert capsys.readouterr().err.count("it is left out") == 2


@pytest.mark.parametrize(
    "command", [of_folder, lambda out: _tables(out, ()), lambda out: explain(["scr-heart", "adam"], out=out)],
    ids=["report", "compare", "explain"],
)  # fmt: skip
def test_where_all_are_damaged_or_there_are_none_every_command_says_so(tmp_path, command):
    with pytest.raises(UsageError, match="holds no records: make some"):
        command(tmp_path)
    store_three(tmp_path)
    damage(tmp_path, 9)
    with pytest.raises(DataMissing, match="holds no record that can be used: all 9 are damaged"):
        command(tmp_path)
