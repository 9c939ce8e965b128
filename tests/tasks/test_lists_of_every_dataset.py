"""The lists that ``data splits`` writes are read back as they were, whatever a dataset calls its images."""

import pytest

from eden_bench import registry
from eden_bench.data import dataset_folders, split_lists


@pytest.mark.parametrize("name", registry.datasets.names())
def test_written_lists_are_read_back(tmp_path, name):
    index = dataset_folders.reader(name).index(dataset_folders.write_phantom(name, tmp_path, patients=4))
    parts = {part: [item.id for item in index.split(part)] for part in ("train", "test")}
    split_lists.write(tmp_path / "lists" / name, parts, "a rule")
    assert split_lists.apply_lists(index, tmp_path / "lists").items == index.items
