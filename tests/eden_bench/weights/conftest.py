import pytest

from eden_bench.errors import WeightsRefused
from eden_bench.weights import reading, unpickling


@pytest.fixture
def read_here(monkeypatch):
    """Read in this process: the same code without the seconds that a child takes to import torch."""

    def convert(path, out):
        try:
            unpickling.convert(path, out)
            out.flush()
        except Exception as error:
            raise WeightsRefused(f"{path} cannot be read as weights: {unpickling.reason(error)}") from error

    monkeypatch.setattr(reading, "_convert", convert)
