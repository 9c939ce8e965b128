"""``import-weights`` and ``--methods mine=PATH`` through the command line, on files of the tiny phantom's size."""

import json
from pathlib import Path

import pytest
import torch

from eden_bench import registry
from eden_bench.errors import UsageError
from eden_bench.execution.request import choose_methods
from eden_bench.weights import importing, unpickling
from eden_bench.weights.paths import named_after
from tests.cli.command import one_error
from tests.conftest import records_in
from tests.eden_bench.weights.dialects import weights

ASK = ("--tasks", "scr-heart", "--seeds", "0")


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    path = tmp_path_factory.mktemp("brought") / "mine.pth"
    torch.save({"state_dict": {f"module.{name}": value for name, value in weights().items()}}, path)
    return path


@pytest.fixture
def run(eden_bench, tiny_protocol):
    return lambda *more: eden_bench("run", "--protocol", tiny_protocol, *more)


def test_a_file_runs_as_a_method_and_its_record_repeats_it(run, eden_bench, mine, tmp_path):
    made = eden_bench("import-weights", mine, "--name", "folder", "--json")
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)
    assert told["coverage"]["share"] == 1.0
    first = run("--methods", f"mine={mine},other={mine},folder={told['written to']}", *ASK)
    assert first.returncode == 0, first.stderr
    records = {record["cell"]["method"]: record for record in records_in(tmp_path / "runs")}
    assert set(records) == {"mine", "other", "folder"}
    assert len({record["cell"]["checkpoint"] for record in records.values()}) == 1
    assert len({json.dumps(record["scores"]) for record in records.values()}) == 1
    checkpoint = records["mine"]["checkpoint"]
    assert checkpoint["file"] == str(mine)
    assert checkpoint["from"] == "a file (resnet18-w16; data-parallel: 100 of 100 entries)"
    assert f"--methods mine={mine}" in records["mine"]["command"]

    words = records["mine"]["command"].split()
    again = eden_bench(*words[1:])
    assert again.returncode == 0, again.stderr
    assert "1 reused" in again.stdout + again.stderr
    replayed = eden_bench("run", "--replay", records["mine"]["id"][:12])
    assert replayed.returncode == 0, replayed.stderr
    assert "identical" in replayed.stdout + replayed.stderr


def test_what_is_wrong_with_a_path_is_one_line(run, mine, tmp_path):
    missing = run("--methods", f"mine={tmp_path / 'absent.pth'}", *ASK)
    assert missing.returncode == 2
    assert "absent.pth does not exist" in one_error(missing)
    clash = run("--methods", f"adam={mine}", *ASK)
    assert clash.returncode == 2
    assert "'adam' is already a method here" in one_error(clash)


def test_a_refused_file_fails_its_cells_and_no_others(run, tmp_path):
    (tmp_path / "page.pth").write_text("<!DOCTYPE html>")
    done = run("--methods", f"mine={tmp_path / 'page.pth'},random", *ASK)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "page.pth cannot be read as weights: it starts with b'<!DOCTYPE html>'" in done.stdout + done.stderr
    assert [record["cell"]["method"] for record in records_in(tmp_path / "runs")] == ["random"]


def test_a_dry_run_writes_nothing_and_a_renamed_entry_is_warned_of(eden_bench, tmp_path):
    renamed = {name.replace("layer3.0.conv2", "layer3.0.conv_two"): value for name, value in weights().items()}
    torch.save(renamed, tmp_path / "renamed.pth")
    done = eden_bench("import-weights", tmp_path / "renamed.pth", "--dry-run")
    assert done.returncode == 0, done.stderr
    (warning,) = done.stderr.splitlines()
    assert warning.startswith("warning: renamed.pth: 1 of 100 entries are not in it and stay untrained: layer3.0.conv2")
    assert "not known: layer3.0.conv_two.weight" in warning
    assert "99 of 100 entries (99.0%)" in done.stdout
    assert not (tmp_path / "runs").exists()


@pytest.mark.trap("inputs", "absent files, full disks", "exit codes 4 and 2")
@pytest.mark.parametrize(
    ("make", "code", "words"),
    [
        (lambda path: None, 4, "does not exist (No such file or directory), expected a checkpoint"),
        (lambda path: path.mkdir(), 4, "is a folder, expected a checkpoint (.pth, .pt, .tar, .ckpt, .safetensors); it"),
    ],
)
def test_what_is_no_file_to_import_is_data_missing(eden_bench, tmp_path, make, code, words):
    make(tmp_path / "file.pth")
    done = eden_bench("import-weights", tmp_path / "file.pth")
    assert done.returncode == code
    assert words in one_error(done)


@pytest.mark.trap(
    "inputs", "a folder that is no checkpoint, as `--methods NAME=PATH`", "exit code 2 with what it holds"
)
@pytest.mark.parametrize(
    ("files", "words"),
    [
        (("__0_0.distcp", ".metadata"), "holds shards of a distributed checkpoint (__0_0.distcp): join them into one"),
        (("config.json", "model.safetensors"), "name the file in it, for example {}/model.safetensors"),
        (("encoder.safetensors", "training.state"), "so it is no finished checkpoint: pretrain again to continue it"),
        (("pytorch_model.bin", "README.md"), "name the file in it, for example {}/pytorch_model.bin"),
        (
            (),
            "holds no card.json, expected a file of weights, or a folder that pretrain or import-weights has finished",
        ),
    ],
)
def test_a_folder_that_is_no_checkpoint_is_a_slip_and_says_what_is_in_it(tmp_path, files, words):
    folder = tmp_path / "repo"
    folder.mkdir()
    for file in files:
        (folder / file).touch()
    with pytest.raises(UsageError) as caught:
        choose_methods([f"mine={folder}"], ())
    assert caught.value.exit_code == 2
    assert words.format(folder) in str(caught.value)


def test_a_dry_run_tells_why_weights_are_missing(run, mine, tmp_path, monkeypatch):
    done = run("--methods", "supervised-imagenet", *ASK, "--dry-run")
    assert done.returncode == 0
    assert "weights missing: supervised-imagenet: " in done.stdout
    assert "missing  weights missing\n" in done.stdout
    assert "excused" not in done.stdout


@pytest.mark.trap("inputs", "Lightning's file names, blanks, umlauts", "a name is derived")
@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("epoch=4-step=500.ckpt", "epoch-4-step-500"),
        ("epoch=4-val_loss=0.25.ckpt", "epoch-4-val_loss-0-25"),
        ("checkpoint.pth.tar", "checkpoint"),
        ("my best model (2).PTH", "my-best-model-2"),
        ("Röntgen gewichte.safetensors", "Rontgen-gewichte"),
        ("Ro\u0308ntgen.pt", "Rontgen"),
        ("重み.pth", "weights"),
    ],
)
def test_a_name_is_derived_from_any_files(file, name):
    assert named_after(Path(file)) == name


def test_a_file_of_lightnings_is_imported_under_a_name_that_runs(eden_bench, tmp_path):
    torch.save(weights(), tmp_path / "epoch=4-step=500.ckpt")
    done = eden_bench("import-weights", tmp_path / "epoch=4-step=500.ckpt", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "weights epoch-4-step-500" in done.stdout
    assert "not told apart" in done.stdout


@pytest.mark.trap("inputs", "commas in paths", "read where the path exists")
def test_commas_in_a_path_that_exists_are_the_paths(tmp_path, monkeypatch):
    monkeypatch.setattr(registry.methods, "_made", dict(registry.methods._made))
    monkeypatch.setattr(registry.methods, "_origins", dict(registry.methods._origins))
    (tmp_path / "w,x").mkdir()
    for name in ("a.ckpt", "a,b,random.ckpt"):
        torch.save(weights(), tmp_path / "w,x" / name)
    chosen = choose_methods([f"one={tmp_path}/w,x/a.ckpt,random,two={tmp_path}/w,x/a,b,random.ckpt"], ())
    assert chosen == ("one", "random", "two")
    assert registry.methods.get("two").file == f"{tmp_path}/w,x/a,b,random.ckpt"
    with pytest.raises(UsageError, match=r"w does not exist, .*commas separate methods"):
        choose_methods([f"three={tmp_path}/w,y/a.ckpt"], ())
    with pytest.raises(UsageError, match="does not exist"):
        choose_methods(["four=" + ",".join(["absent.pth"] * 400)], ())


@pytest.mark.trap("inputs", "absent files, full disks")
def test_a_full_disk_is_no_internal_error(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(importing, "write_checkpoint", full)
    imported = importing.Imported(weights(), coverage(), "0")
    (tmp_path / "file.pth").touch()
    with pytest.raises(
        UsageError, match=r"folder cannot be written \(.*No space left.*\): make room, or choose"
    ) as caught:
        importing.write(imported, tmp_path / "file.pth", "mine", tmp_path / "folder")
    assert caught.value.exit_code == 2
    assert "no room for it in the folder for temporary files" in unpickling.reason(
        OSError(28, "No space left on device")
    )


def coverage():
    return importing.Coverage(
        file="file.pth", dialect="", prefix="", others=(), arch="resnet18-w16", matched=1, expected=1, missing=(),
        unexpected=(), reshaped=(),
    )  # fmt: skip


def test_a_published_model_prints_what_its_authors_are_asked_to_confirm(eden_bench):
    told = json.loads(eden_bench("verify-model", "torchxrayvision", "--json").stdout)
    assert told["network"] == "densenet121"
    assert told["reads"] == "mean of the last map, after the last norm"
    assert told["embedding_length"] == 1024
    assert len(told["first_values"]) == 8
    assert told["licence"].startswith("Apache-2.0")
    wrong = eden_bench("verify-model", "rad-dno")
    assert wrong.returncode == 2
    assert "unknown model 'rad-dno'. Did you mean 'rad-dino'? Known: adam-v2, ark" in one_error(wrong)
