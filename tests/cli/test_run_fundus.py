"""Chest and fundus tasks in one run: a method is pretrained once for each modality, and each task gets its own."""

from __future__ import annotations

from eden_bench.data import dataset_folders
from eden_bench.weights.checkpoints import Checkpoint
from tests.conftest import records_in


def test_a_run_over_both_modalities_pretrains_each_method_on_both(eden_bench, tiny_data, tiny_protocol, tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    for name in ("scr", "chestxray14"):
        (root / name).symlink_to(tiny_data / name)
    dataset_folders.write_phantom("drive", root, patients=8, seed=0)
    dataset_folders.write_phantom("eyepacs", root, patients=6, seed=0)
    wanted = ("--methods", "moco-v2,random", "--tasks", "scr-heart,drive", "--seeds", "0")
    done = eden_bench("run", *wanted, "--protocol", tiny_protocol, EDEN_BENCH_DATA=root)
    assert done.returncode == 0, done.stderr
    made = [Checkpoint(path.parent) for path in (tmp_path / "runs/checkpoints").glob("*/card.json")]
    digests = {checkpoint.card["data"]["dataset"]: checkpoint.encoder_digest for checkpoint in made}
    assert (len(made), set(digests)) == (2, {"chestxray14", "eyepacs"})
    used = {(r["cell"]["task"], r["cell"]["method"]): r["cell"]["checkpoint"] for r in records_in(tmp_path / "runs")}
    assert used == {
        ("scr-heart", "random"): "seeded",
        ("drive", "random"): "seeded",
        ("scr-heart", "moco-v2"): digests["chestxray14"],
        ("drive", "moco-v2"): digests["eyepacs"],
    }
