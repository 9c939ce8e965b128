"""A part of the malformed files of ``python -m benchmarks.hostile_files``: one typed error that names the file."""

import pytest

from tests.tasks.hostile.cases import FOLDER, KAGGLE, LIMIT_MIB, LIMIT_S, ROLES, cases, run, sample, write_base


def test_the_sample_has_two_hundred_files_over_every_kind_of_file_of_every_reader():
    from eden_bench import registry

    chosen = sample(24)
    assert len({case.name for case in chosen}) == len(chosen) >= 200
    assert {case.role.reader for case in chosen} == {*registry.datasets.names(), KAGGLE, FOLDER}
    assert {(case.role.reader, case.role.file) for case in chosen} == {(role.reader, role.file) for role in ROLES}
    assert [case.name for case in sample(24)] == [case.name for case in chosen]


def test_a_sample_beyond_all_files_is_all_of_them():
    assert sorted(case.name for case in sample(1000)) == sorted(case.name for case in cases())


def test_what_a_reader_may_read_nevertheless_names_changes_that_there_are():
    known = {change.name for role in ROLES for change in role.changes}
    assert {name for role in ROLES for name in role.harmless} <= known


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("hostile")
    write_base(root / "base")
    return list(run([case.name for case in sample(6)], root / "base", root / "work"))


def test_each_broken_file_ends_in_one_error_that_names_it_and_spoils_no_other(results):
    assert len(results) >= 60
    assert {result.name: result.failures for result in results if result.failures} == {}
    assert sum(bool(result.said) for result in results) >= 45


def test_no_broken_file_takes_five_seconds_or_a_gibibyte(results):
    assert max(result.cpu_s for result in results) < LIMIT_S
    assert max(result.peak_mib for result in results) < LIMIT_MIB
