"""Files of embeddings: written, read, checked against the data, refused with what is wrong."""

import io
import json
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from eden_bench import registry
from eden_bench.contracts import Context, Features
from eden_bench.encoders import build_encoder
from eden_bench.errors import UsageError, WeightsMissing, WeightsRefused
from eden_bench.weights import embeddings
from eden_bench.weights.embeddings import Embeddings
from eden_bench.weights.file_method import FileEmbeddings, register_file
from tasks.finetuning import ClassificationTask
from tests.tasks.finetuning.toy_anatomy import ToyAnatomy, toy_index

FEATURES = Features(pooling="embed", size_px=32)
TASK = ClassificationTask(name="toy-labels", dataset="toy", title="Toy labels")


def found(**changes):
    made = Embeddings(
        model="theirs",
        weights="w" * 64,
        features=embeddings.contract(FEATURES),
        data={"toy": "d" * 64},
        ids={"toy": ["b", "a", "c"]},
        vectors={"toy": np.arange(6, dtype=np.float32).reshape(3, 2)},
    )
    return replace(made, **changes)


def read(path):
    return embeddings.read(path, path.stat().st_size, path.stat().st_mtime_ns)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "emb.npz"
    embeddings.write(path, found())
    return path


def test_what_is_written_is_read_and_comes_in_the_order_that_is_asked_for(file):
    again = read(file)
    assert (again.model, again.weights, again.data) == ("theirs", "w" * 64, {"toy": "d" * 64})
    assert again.of("toy", ["a", "b", "c"], "d" * 64, FEATURES).tolist() == [[2, 3], [0, 1], [4, 5]]


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        (("shenzhen", ["a", "b", "c"], "d" * 64, FEATURES), WeightsMissing, "none of shenzhen"),
        (("toy", ["a", "b", "c", "e"], "d" * 64, FEATURES), WeightsRefused, r"lacks 1 of 4 images of toy \(e\)"),
        (("toy", ["a", "b"], "d" * 64, FEATURES), WeightsRefused, r"holds foreign 1 of 2 images of toy \(c\)"),
        (
            ("toy", ["a", "b", "c"], "e" * 64, FEATURES),
            WeightsRefused,
            "of pixels dddddddddddd, the data at hand are eee",
        ),
        (
            ("toy", ["a", "b", "c"], "d" * 64, Features(size_px=64)),
            WeightsRefused,
            r"pooling 'embed' \(this protocol reads 'mean'\), size_px 32 \(this protocol reads 64\): embed again",
        ),
        (
            ("toy", ["a", "b", "c"], "d" * 64, Features(pooling="class", size_px=32)),
            WeightsRefused,
            r"pooling 'embed' \(this protocol reads 'class'\)",
        ),
    ],
)
def test_what_does_not_fit_the_data_is_named(file, asked, error, says):
    with pytest.raises(error, match=says):
        read(file).of(*asked)


def rewritten(file, **arrays):
    with np.load(file) as kept:
        content = {name: kept[name] for name in kept.files} | arrays
    np.savez(file, **{name: value for name, value in content.items() if value is not None})


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"toy/vectors": np.zeros((2, 2), np.float32)}, r"expected \(3, D\) of floats"),
        ({"toy/vectors": np.zeros((3, 2), int)}, "expected"),
        ({"toy/vectors": np.array([[0, 0], [np.nan, 0], [0, 0]])}, "row 1 of toy/vectors holds a NaN"),
        ({"toy/vectors": np.array([[0, 0], [0, 0], [1e300, 0]])}, "row 2 .* infinite in float32"),
        ({"toy/vectors": np.zeros((3, 0), np.float32)}, r"expected \(3, D\) of floats"),
        ({"toy/ids": np.array(["a", "a", "b"])}, "an id of toy stands in it twice"),
        ({"toy/ids": None}, "it lacks"),
        ({"eden_bench": np.array(json.dumps({"format": "other"}))}, "its format is 'other'"),
        ({"eden_bench": np.array("{")}, "is no file of embeddings"),
    ],
)
def test_a_file_that_is_not_as_expected_is_refused(file, arrays, says):
    rewritten(file, **arrays)
    with pytest.raises(WeightsRefused, match=says):
        read(file)


class Mark:
    def __reduce__(self):
        return (print, ("executed",))


def test_pickles_are_not_executed(tmp_path, capsys):
    inside = io.BytesIO()
    np.lib.format.write_array(inside, np.array([Mark()], dtype=object), allow_pickle=True)
    for name, content in (("a.npz", pickle.dumps(Mark())), ("b.npz", b"PK\x03\x04nothing")):
        (tmp_path / name).write_bytes(content)
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.writestr("eden_bench.npy", inside.getvalue())
    for name in "abc":
        with pytest.raises(WeightsRefused, match="is no file of embeddings"):
            read(tmp_path / f"{name}.npz")
    assert "executed" not in capsys.readouterr().out


def test_the_rows_of_a_file_are_those_of_the_encoder_that_wrote_it(tmp_path, monkeypatch):
    monkeypatch.setattr(registry.methods, "_made", dict(registry.methods._made))
    protocol = replace(TASK.protocol("linear-quick"), features=FEATURES)
    task = TASK.open(toy_index(tmp_path), protocol, Context(cache=tmp_path / "cache", dataset=ToyAnatomy()))
    encoder = build_encoder("resnet18-w16", 0)
    vectors = {"toy": task.features(encoder)}
    path = tmp_path / "mine.npz"
    embeddings.write(path, found(data={"toy": task.store.digest}, ids={"toy": task.store.ids}, vectors=vectors))
    assert register_file(registry.methods, f"mine={path}") == "mine"
    made = registry.methods.get("mine")
    assert issubclass(made, FileEmbeddings)
    assert made.probe_only
    source = made(made.Config())
    assert task.run(source.load_encoder(0), 0) == task.run(encoder, 0)
    assert "embeddings of theirs" in source.told()["from"]
    attentive = replace(TASK.protocol("attentive-quick"), features=replace(FEATURES, pooling="map"), max_steps=2)
    task = TASK.open(toy_index(tmp_path), attentive, Context(cache=tmp_path / "cache", dataset=ToyAnatomy()))
    with pytest.raises(UsageError):
        task.run(source.load_encoder(0), 0)
