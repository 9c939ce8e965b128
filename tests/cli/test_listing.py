"""``list``, ``show`` and ``plugins``: names, cards, and plugins that are broken."""

import json

import pytest

from eden_bench import cli, protocols
from tests.cli.command import eden_bench, one_error


def shown(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        cli.main(list(arguments))
    assert end.value.code == 0
    return capsys.readouterr().out


@pytest.fixture
def broken(tmp_path):
    """Return a folder with an installed distribution whose method does not import."""
    (tmp_path / "stranger_method.py").write_text('"""A method."""\nimport nothing_of_this_name\n')
    info = tmp_path / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[eden_bench.methods]\nstranger = stranger_method\n")
    return tmp_path


def test_our_own_names_are_listed(capsys):
    found = json.loads(shown(capsys, "list", "--json"))
    names = {kind: {row["name"] for row in rows} for kind, rows in found.items()}
    assert {"adam", "densecl", "moco-v2", "random"} <= names["methods"]
    assert {"scr-heart", "scr-clavicle", "chestxray14"} <= names["tasks"]
    assert {"scr", "chestxray14"} <= names["datasets"]
    assert names["protocols"] == {"paper", "quick", *protocols.frozen.names(), *protocols.ablations()}


def test_one_kind_is_listed_alone(capsys):
    assert list(json.loads(shown(capsys, "list", "protocols", "--json"))) == ["protocols"]


def test_a_task_shows_its_scores_definition_and_both_protocols(capsys):
    text = shown(capsys, "show", "scr-heart")
    card = json.loads(shown(capsys, "show", "scr-heart", "--json"))["tasks"]
    assert card["score"]["text"] in text
    assert set(card["protocol"]) == {"paper", "quick"}
    assert "paper: " in text
    assert "eden-bench: tasks = tasks.scr" in text


def test_a_method_shows_its_card_and_its_values_under_both_protocols(capsys):
    card = json.loads(shown(capsys, "show", "random", "--json"))["methods"]
    assert card["config"]["quick"]["arch"] == "resnet18-w16"
    assert card["config"]["paper"]["arch"] == "resnet50"
    assert card["licence"]


def test_a_dataset_shows_its_licence_and_source(capsys):
    text = shown(capsys, "show", "scr")
    assert "licence" in text
    assert "citation" in text


def test_a_name_of_two_kinds_shows_both(capsys):
    assert set(json.loads(shown(capsys, "show", "chestxray14", "--json"))) == {"tasks", "datasets"}


def test_an_unknown_name_gets_the_nearest(tmp_path):
    done = eden_bench("show", "scr-hart", cwd=tmp_path)
    assert done.returncode == 2
    assert "unknown name 'scr-hart'. Did you mean 'scr-heart'?" in one_error(done)


def test_a_broken_plugin_is_listed_with_its_error_and_warned_of_once(broken, tmp_path):
    done = eden_bench("plugins", "--json", cwd=tmp_path, PYTHONPATH=str(broken))
    assert done.returncode == 0
    rows = [row for row in json.loads(done.stdout) if row["distribution"] == "stranger"]
    assert [(row["kind"], row["name"]) for row in rows] == [("method", "stranger")]
    assert "No module named 'nothing_of_this_name'" in rows[0]["state"]
    warnings = [line for line in done.stderr.splitlines() if "stranger" in line]
    assert len(warnings) == 1
    assert all(row["state"] == "loads" for row in json.loads(done.stdout) if row["distribution"] == "eden-bench")


def test_a_broken_plugin_does_not_stop_a_list(broken, tmp_path):
    done = eden_bench("list", "methods", cwd=tmp_path, PYTHONPATH=str(broken))
    assert done.returncode == 0
    assert "stranger" in done.stdout
    assert "adam" in done.stdout


def test_a_plugin_file_that_fails_is_one_sentence(tmp_path):
    (tmp_path / "mine.py").write_text("1 / 0\n")
    done = eden_bench("list", "--plugin", "mine.py", cwd=tmp_path)
    assert done.returncode == 2
    assert "--plugin mine.py: ZeroDivisionError" in one_error(done)


def test_names_are_not_cut_short_in_a_pipe(capsys):
    from eden_bench import registry

    text = shown(capsys, "list", "methods")
    for name in registry.methods.names():
        assert f"{name} " in text
        assert registry.methods.summary(name) in text
