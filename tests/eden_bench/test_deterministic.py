"""--deterministic: equal digits twice, or an error that names the operation; part of an identity on a GPU only."""

import os
import re

import pytest
import torch

from eden_bench import api, devices
from eden_bench.contracts import DETERMINISTIC
from eden_bench.errors import UsageError
from eden_bench.execution.backbones import Problem
from eden_bench.execution.inputs import Inputs, OpenedTask
from eden_bench.execution.job import job_of
from eden_bench.settings import Settings, gather


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    """What is set for a whole process is undone."""
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    cudnn = torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled(), cudnn.benchmark, cudnn.deterministic
    yield
    torch.use_deterministic_algorithms(before[0])
    cudnn.benchmark, cudnn.deterministic = before[1:]
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


def test_the_switch_sets_all_that_torch_asks_for():
    torch.backends.cudnn.benchmark = True
    devices.be_deterministic()
    assert torch.are_deterministic_algorithms_enabled()
    assert (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic) == (False, True)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_it_is_refused_when_cuda_has_started_without_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    with pytest.raises(UsageError, match="--deterministic came after CUDA had started: set CUBLAS_WORKSPACE_CONFIG"):
        devices.be_deterministic()
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_operation_that_has_no_deterministic_way_is_named_in_one_sentence():
    devices.be_deterministic()
    with pytest.raises(RuntimeError) as raised:
        torch.zeros(3).put_(torch.tensor([0, 0]), torch.ones(2))
    found = Problem.of(raised.value)
    assert found.text.startswith("put_ gives other digits each time on this device: leave out --deterministic")
    assert "\n" not in found.text


def test_products_of_cublas_are_named_too():
    told = "Deterministic behavior was enabled, but this operation is not deterministic because it uses CuBLAS and you"
    assert devices.undetermined_operation(RuntimeError(told)).startswith("a matrix product of cuBLAS gives other")


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), ValueError("x does not have a deterministic impl")])
def test_other_errors_keep_their_words(error):
    assert devices.undetermined_operation(error) == ""


def test_on_a_cpu_it_moves_no_digit_and_no_identity(fakes, here):
    runs = [
        api.run("fake-random,fake-trained", "fake-heart", seeds="0", force=True, deterministic=switch, **here).records
        for switch in (None, True, True)
    ]
    assert len({tuple((record.id, *record.scores.items()) for record in records) for records in runs}) == 1
    assert torch.are_deterministic_algorithms_enabled()


def test_two_trainings_on_a_cpu_are_equal_bit_for_bit_with_and_without():
    """A step of every kind of layer that fine-tuning and pretraining are made of."""

    def trained():
        torch.manual_seed(0)
        layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
            torch.nn.Upsample(scale_factor=2), torch.nn.Conv2d(8, 1, 1),
        )  # fmt: skip
        optimiser = torch.optim.AdamW(layers.parameters())
        for _ in range(3):
            optimiser.zero_grad()
            torch.nn.functional.binary_cross_entropy_with_logits(layers(torch.randn(4, 3, 16, 16)),
                                                                 torch.ones(4, 1, 16, 16)).backward()  # fmt: skip
            optimiser.step()
        return torch.cat([each.detach().flatten() for each in layers.parameters()])

    plain = trained()
    devices.be_deterministic()
    assert trained().equal(trained())
    assert trained().equal(plain)


def test_on_a_gpu_it_is_part_of_a_cells_identity_and_not_of_its_job(fakes, here, monkeypatch):
    (record,) = api.run("fake-random", "fake-heart", seeds="0", **here).records
    plain = OpenedTask(None, {"lr": 1}, None)
    marked = OpenedTask(None, {"lr": 1}, None, deterministic=True)
    assert plain.hashed_protocol(None) == {"lr": 1}
    assert marked.hashed_protocol(None) == {"lr": 1, DETERMINISTIC: True}
    record.cell.protocol[DETERMINISTIC] = True
    assert DETERMINISTIC not in job_of(record).protocol


@pytest.mark.parametrize(("device", "counts"), [("cpu", False), ("cuda:0", True)])
def test_inputs_say_whether_digits_of_their_device_follow_from_it(here, monkeypatch, device, counts):
    monkeypatch.setattr("eden_bench.execution.inputs.resolve_device", lambda text: device)
    made = Inputs(Settings(data=None, **{**here, "device": device}, deterministic=True))
    assert made.deterministic == counts


@pytest.mark.parametrize(("text", "value"), [("1", True), ("true", True), ("0", False), (True, True), (None, False)])
def test_the_setting_is_read_from_flag_and_environment(monkeypatch, text, value):
    assert gather(deterministic=text).deterministic == value
    if isinstance(text, str):
        monkeypatch.setenv("EDEN_BENCH_DETERMINISTIC", text)
        assert gather().deterministic == value


def test_a_setting_that_is_no_switch_is_refused(monkeypatch):
    monkeypatch.setenv("EDEN_BENCH_DETERMINISTIC", "perhaps")
    with pytest.raises(UsageError, match=re.escape("EDEN_BENCH_DETERMINISTIC: expected 1, true, 0 or false")):
        gather()
