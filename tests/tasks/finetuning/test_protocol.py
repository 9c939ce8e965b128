"""Protocols: the paper's values, and values that no run can mean."""

import subprocess
import sys

import pytest

from eden_bench.contracts import with_overrides
from eden_bench.digests import digest
from eden_bench.errors import UsageError
from eden_bench.registry import tasks
from tasks.finetuning import ClassificationProtocol, SegmentationProtocol, SegmentationTask

PAPER_SEGMENTATION = {
    "size_px": 224,
    "optimiser": "adamw",
    "lr": 2e-4,
    "validation_share": 0.1,
    "warmup_share": 0.0,
    "batch_size": 32,
    "epochs": 200,
    "patience": 20,
    "loss": "dice",
    "decoder_channels": (256, 128, 64, 32, 16),
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
    "few_shot_budget": "steps",
    "few_shot_subset": "resample-per-seed",
    "few_shot_validation": "full",
    "min_steps": 200,
    "weight_decay": 0.01,
    "betas": (0.9, 0.999),
    "intensity_p": 0.3,
    "brightness": 0.2,
    "contrast": 0.2,
    "gamma": (0.8, 1.2),
}
PAPER_CLASSIFICATION = {
    "size_px": 224,
    "optimiser": "adamw",
    "lr": 2.5e-4,
    "weight_decay": 0.05,
    "betas": (0.9, 0.95),
    "rotation_deg": 7.0,
    "flip_p": 0.5,
    "source_px": 256,
    "test_crops": "ten",
    "validation_share": 0.1,
    "few_shot_validation": "full",
    "min_steps": 200,
    "epochs": 75,
    "patience": 10,
    "crop_scale": (0.08, 1.0),
}


@pytest.mark.parametrize(
    ("protocol", "values"),
    [(SegmentationProtocol(), PAPER_SEGMENTATION), (ClassificationProtocol(), PAPER_CLASSIFICATION)],
)
def test_the_defaults_are_the_papers_values(protocol, values):
    assert {name: getattr(protocol, name) for name in values} == values


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("size_px", 65, "size_px must be a multiple of 32, not 65"),
        ("size_px", 16, "size_px must be at least 32, not 16"),
        ("few_shot_budget", "hours", "few_shot_budget must be 'steps' or 'epochs', not 'hours'"),
        ("loss", "focal", "loss must be 'dice' or 'bce', not 'focal'"),
        ("distortions", ["wave"], "distortions may be elastic, grid and optical, not wave"),
        ("crop_p", 2, r"crop_p must be in \[0, 1\], not 2"),
        ("lr", float("nan"), "lr must be finite, not nan"),
        ("batch_size", 1, "batch_size must be at least 2"),
        ("learning_rate", 1, "unknown option 'learning_rate'"),
    ],
)
def test_a_value_that_no_run_can_mean_is_one_sentence(field, value, message):
    with pytest.raises(UsageError, match=message):
        with_overrides(SegmentationProtocol(), {field: value}, "protocol mine")


def test_the_tasks_are_registered_under_their_names():
    assert tasks.get("scr-heart").structures == ("heart",)
    assert tasks.get("scr-clavicle").structures == ("clavicles",)
    assert tasks.get("chestxray14").kind == "classification"


def test_an_unknown_protocol_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"unknown protocol of scr-heart 'papr'. Did you mean 'paper'\?"):
        tasks.get("scr-heart").protocol("papr")


def test_another_segmentation_task_is_one_constructor_call():
    ribs = SegmentationTask(
        name="ribs",
        dataset="ribs",
        title="Ribs",
        structures=("R1", "L1"),
        paper=SegmentationProtocol(optimiser="adam", lr=1e-3),
    )
    assert ribs.protocol("paper").lr == 1e-3
    assert ribs.score.name == "dice"


def test_a_protocol_has_a_digest():
    assert digest(SegmentationProtocol()) != digest(SegmentationProtocol(crop_p=0.0))


def test_importing_the_tasks_imports_no_torch():
    code = "import sys, tasks.scr, tasks.chestxray14; print({'torch', 'pandas', 'cv2', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
