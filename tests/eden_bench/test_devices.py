"""What the hardware decides is decided in one place, for pretraining, fine-tuning and the doctor alike."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from eden_bench import devices
from eden_bench.doctor import checks
from eden_bench.errors import OutOfMemory
from eden_bench.execution.backbones import Problem
from pretrain.engine.optimisation import autocast_dtype
from tasks.finetuning.loop import resolve_precision

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("amx", "avx512", "precision"),
    [(True, True, "bfloat16"), (True, False, "bfloat16"), (False, True, "bfloat16"), (False, False, "float32")],
)
def test_pretraining_fine_tuning_and_the_doctor_give_one_answer(monkeypatch, amx, avx512, precision):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512, raising=False)
    cpu, short = torch.device("cpu"), {"bfloat16": "bf16", "float32": "fp32"}[precision]
    assert devices.fast_precision("cpu") == precision
    assert autocast_dtype(cpu) == getattr(torch, precision)
    assert resolve_precision("auto", cpu) == short
    found = checks._bf16()
    assert found.text.endswith(f": pretraining and fine-tuning run in {short}")
    assert found.level == ("ok" if amx or avx512 else "note")
    assert [name in found.text for name in ("AMX", "AVX512-bf16")] == ([amx, avx512] if amx or avx512 else [True] * 2)


@pytest.mark.parametrize(("supported", "precision"), [(True, "bfloat16"), (False, "float32")])
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_that_only_emulates_bfloat16_runs_in_float32(monkeypatch, device, supported, precision):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported or including_emulation)
    assert devices.fast_precision(device) == precision


def test_the_threads_of_a_record_are_those_of_torch_blas_and_openmp():
    """In a process of its own: which libraries are loaded before and within the block is part of the trap."""
    code = """
import json, os, torch, numpy
from threadpoolctl import threadpool_info
from eden_bench.devices import cpu_threads

def seen():
    return sorted({pool["num_threads"] for pool in threadpool_info()} | {torch.get_num_threads()})

with cpu_threads(1):
    within = seen()
    import scipy.linalg, sklearn.linear_model
    later = seen()
print(json.dumps([within, later, torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")]))
"""
    variables = {name: value for name, value in os.environ.items() if name not in devices.THREAD_VARIABLES}
    done = subprocess.run([sys.executable, "-c", code], env=variables | {"OMP_NUM_THREADS": "2"}, capture_output=True)
    assert json.loads(done.stdout) == [[1], [1], 2, "2"], done.stderr.decode()


def test_other_devices_run_in_float32():
    assert devices.fast_precision("mps") == "float32"


def test_a_precision_that_is_named_is_taken_on_any_hardware():
    assert [resolve_precision(name, torch.device("cpu")) for name in ("fp32", "bf16")] == ["fp32", "bf16"]


def test_no_other_file_asks_the_hardware_for_its_precision():
    """A second question is how two answers came about."""
    asked = {"is_bf16_supported", "_is_amx_tile_supported", "_is_avx512_bf16_supported"}
    files = [
        file for package in ("eden_bench", "pretrain", "baselines", "tasks") for file in (ROOT / package).rglob("*.py")
    ]
    asking = {file.name for file in files if asked & set(_words(file))}
    assert asking == {"devices.py"}


def _words(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_memory_that_ran_out_is_known_whoever_says_it():
    with pytest.raises(RuntimeError) as torchs:
        torch.empty(1 << 60, dtype=torch.uint8)
    with pytest.raises(MemoryError) as numpys:
        np.empty(1 << 60, np.uint8)
    said = "CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
    errors = [
        torchs.value,
        numpys.value,
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        *map(RuntimeError, said),
    ]
    assert [devices.is_out_of_memory(error) for error in errors] == [True] * 6
    assert not devices.is_out_of_memory(RuntimeError("shapes do not fit"))
    assert not devices.is_out_of_memory(ValueError("the word list is out of memory"))


def test_a_cell_that_ran_out_of_memory_says_so_and_not_only_the_name_of_an_exception():
    problem = Problem.of(MemoryError())
    assert (problem.kind, problem.error) == ("failed", OutOfMemory)
    assert problem.text == "out of memory (MemoryError: ): run fewer things at once, or use a larger device"
    assert Problem.of(OutOfMemory("out of memory on cpu at step 3")).text == "out of memory on cpu at step 3"
