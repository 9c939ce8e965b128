"""A part of the malformed files of ``python -m benchmarks.hostile_files``: one typed error that names the file."""

import pytest

from tests.tasks.hostile import LIMIT_MIB, LIMIT_S, cases, run, write_base

READERS = ("vindr-cxr", "siim-acr")
FILES = ("annotations/image_labels_train.csv", "train-rle.csv")

NOT_SEEN = {"siim-acr | train-rle.csv | cut in half"}
"""A gap: the cut falls between two numbers, so the last mask is short and nothing says so."""


def test_at_least_two_hundred_files_cover_every_reader():
    from eden_bench import registry

    every = cases()
    assert len({case.name for case in every}) == len(every) >= 200
    assert {case.role.reader for case in every} >= set(registry.datasets.names())


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("hostile")
    write_base(root / "base", READERS)
    wanted = [case.name for case in cases() if case.role.reader in READERS and case.role.file in FILES]
    return list(run(wanted, root / "base", root / "work"))


def test_each_broken_table_ends_in_one_error_that_names_it(results):
    assert len(results) >= 60
    assert {result.name: result.failures for result in results if result.failures}.keys() == NOT_SEEN


def test_no_broken_table_takes_five_seconds_or_a_gibibyte(results):
    assert max(result.cpu_s for result in results) < LIMIT_S
    assert max(result.peak_mib for result in results) < LIMIT_MIB
