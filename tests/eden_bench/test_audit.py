"""The audit on datasets with planted copies: what it counts, what it passes over, what it remembers."""

import csv
import json
import os

import numpy as np
import pytest

from eden_bench.audit import fingerprints, storage
from eden_bench.audit.audit import audit, checkpoint_pretrainings
from eden_bench.audit.known_origins import origins
from eden_bench.audit.leaks import ADVICE, LEVELS, Pretraining
from eden_bench.digests import digest
from eden_bench.errors import DataMissing, UsageError, WeightsMissing
from eden_bench.registry import datasets
from eden_bench.settings import Settings
from tests.eden_bench.audited import Films, film, gamma, jpeg, trimmed, write

PRETRAINED = [Pretraining("a method", "chestxray14")]


@pytest.fixture
def readers(monkeypatch):
    """Readers of three sets of radiographs and one of fundus photographs."""
    names = {name: Films(name) for name in ("chestxray14", "chestx-det", "other")} | {"eyes": Films("eyes", "fundus")}
    monkeypatch.setattr(datasets, "_made", names)
    monkeypatch.setattr(datasets, "_sources", [])
    return names


@pytest.fixture
def root(readers, tmp_path):
    """Five patients in one set; copies of some of them, and a stranger, in another."""
    write(
        tmp_path / "data",
        "chestxray14",
        train_01_a=film(1),
        train_01_b=film(1, 1),
        train_02_a=film(2),
        train_03_a=film(3),
        test_04_a=film(4),
        test_05_a=jpeg(film(3)),
        test_01_c=film(6),
    )
    write(
        tmp_path / "data",
        "chestx-det",
        test_x1_a=film(2),
        test_x2_a=gamma(trimmed(film(1, 1), 1 / 16, 0, 0, 1 / 20), 0.8),
        test_x3_a=film(4),
        test_x4_a=film(7),
        train_x5_a=film(1),
    )
    return tmp_path


def settings(root):
    return Settings(data=root / "data", out=root / "runs", cache=root / "cache", device="cpu", threads=1)


def said(audits, root, pretrained_on=None, *, test=None, phantom=False):
    """What the report says of ChestX-Det, pretrained on unknown lists of ChestX-ray14 where nobody says."""
    test = test or datasets.get("chestx-det").index(root / "data" / "chestx-det").split_digest("test")
    pretrained_on = {"chestxray14": ""} if pretrained_on is None else pretrained_on
    return storage.leakage(audits, "chestx-det", pretrained_on, test=test, phantom=phantom)


def found(audits, kind, dataset):
    """Pairs of ids that were found, with the other dataset."""
    return {
        (finding.other, films.images[row].item.id, films.images[other].item.id)
        for films, finding in ((each.films, finding) for each in audits for finding in each.findings)
        if (finding.kind, finding.dataset) == (kind, dataset)
        for row, other in finding.pairs.items()
    }


@pytest.mark.trap("overlaps", "test images that were pretrained on")
def test_every_planted_overlap_is_found_and_none_else(root):
    audits = audit(["chestx-det", "chestxray14"], settings(root), PRETRAINED)
    assert found(audits, "copies across splits", "chestxray14") == {("", "test_05_a", "train_03_a")}
    assert found(audits, "patients across splits", "chestxray14") == {("", "test_01_c", "train_01_b")}
    assert found(audits, "test images pretrained on", "chestx-det") == {
        ("chestxray14", "test_x1_a", "train_02_a"),
        ("chestxray14", "test_x2_a", "train_01_b"),
    }
    assert {one for _, one, _ in found(audits, "copies across datasets", "chestx-det")} == {
        *("test_x1_a", "test_x2_a", "test_x3_a", "train_x5_a")
    }
    kinds = [finding.kind for each in audits for finding in each.findings]
    assert kinds == sorted(kinds, key=list(LEVELS).index)
    assert len(kinds) == 6


def test_another_datasets_patients_show_what_a_datasets_own_do_not(root):
    audits = audit(["chestx-det", "chestxray14"], settings(root), PRETRAINED)
    assert found(audits, "patients across splits", "chestx-det") == {("chestxray14", "test_x2_a", "train_x5_a")}


def test_a_clean_dataset_has_no_findings(root):
    write(root / "data", "other", train_a_1=film(8), train_a_2=film(8, 1), test_b_1=film(9))
    (each,) = audit(["other"], settings(root), [Pretraining("a method", "other")])
    assert each.findings == ()


def test_copies_within_a_split_count_once_for_each_image_too_many(root):
    write(root / "data", "other", train_a_1=film(8), train_b_2=film(8), train_c_3=jpeg(film(8)), test_d_1=film(9))
    (each,) = audit(["other"], settings(root), [Pretraining("a method", "other")])
    (finding,) = each.findings
    assert (finding.kind, finding.level, finding.count, finding.total) == ("copies within a split", "note", 2, 4)


def test_damaged_and_blank_images_are_passed_over_and_only_damage_is_a_finding(root):
    blank = np.zeros((64, 64), np.uint8)
    folder = write(root / "data", "other", train_a_1=film(8), test_b_1=film(9), train_c_1=blank, test_d_1=blank + 1)
    (folder / "train_e_1.png").write_bytes(b"no picture")
    (folder / "test_f_1.png").write_bytes(b"nor this")
    (each,) = audit(["other"], settings(root), [Pretraining("a method", "other")])
    (finding,) = each.findings
    assert (finding.kind, finding.count) == ("damaged", 2)
    assert storage.examples(each, finding) == ["test_f_1", "train_e_1"]


def test_a_second_audit_decodes_nothing_and_a_changed_file_redoes_its_part(root, readers, monkeypatch):
    monkeypatch.setattr(fingerprints, "_PART", 2)
    first = audit(["chestxray14"], settings(root), PRETRAINED)
    assert readers["chestxray14"].decoded == 7
    again = audit(["chestxray14"], settings(root), PRETRAINED)
    assert readers["chestxray14"].decoded == 7
    assert [each.text for each in again[0].findings] == [each.text for each in first[0].findings]
    write(root / "data", "chestxray14", test_04_a=film(2))
    changed = audit(["chestxray14"], settings(root), PRETRAINED)
    assert readers["chestxray14"].decoded == 9
    assert len(found(changed, "copies across splits", "chestxray14")) == 2


def test_an_interrupted_audit_goes_on_where_it_stopped(root, readers, monkeypatch):
    monkeypatch.setattr(fingerprints, "_PART", 2)

    def interrupt(what, done, total):
        if what.startswith("decoding") and done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audit(["chestxray14"], settings(root), PRETRAINED, progress=interrupt)
    before = readers["chestxray14"].decoded
    audit(["chestxray14"], settings(root), PRETRAINED)
    assert readers["chestxray14"].decoded == before + 3


def test_a_damaged_cache_is_made_again(root, readers):
    audit(["chestxray14"], settings(root), PRETRAINED)
    for part in (root / "cache" / "audit").glob("*.npy"):
        part.write_bytes(part.read_bytes()[:200])
    (each,) = audit(["chestxray14"], settings(root), PRETRAINED)
    assert len(each.findings) == 2


def test_modalities_and_phantoms_are_never_compared_with_others(root):
    write(root / "data", "eyes", train_a_1=film(1), test_b_1=film(2))
    folder = write(root / "data", "other", test_a_1=film(1), train_b_1=film(2))
    (folder / "PHANTOM.json").write_text("{}")
    audits = audit(["eyes", "other", "chestxray14"], settings(root), PRETRAINED)
    assert sorted([index.dataset for index in each.indexes] for each in audits) == [
        ["chestxray14"],
        ["eyes"],
        ["other"],
    ]
    assert all(not finding.other for each in audits for finding in each.findings)


def test_what_backbones_are_pretrained_on_is_looked_at_unasked(root):
    (each,) = audit(["chestx-det"], settings(root))
    assert [index.dataset for index in each.indexes] == ["chestx-det", "chestxray14"]
    assert found([each], "test images pretrained on", "chestx-det")


def test_pretraining_data_that_are_not_at_hand_are_said_and_the_rule_is_stated(root):
    said = []
    for file in (root / "data" / "chestxray14").iterdir():
        file.unlink()
    (root / "data" / "chestxray14").rmdir()
    (each,) = audit(["chestx-det"], settings(root), say=said.append)
    assert len(said) == 1
    assert "chestxray14" in said[0]
    (finding,) = each.findings
    assert (finding.kind, finding.level) == ("known origin", "risk")
    with pytest.raises(DataMissing, match="has no folder chestxray14"):
        audit(["chestxray14"], settings(root))


def test_a_checkpoints_card_says_what_it_was_pretrained_on(readers, tmp_path):
    card = {"format": 1, "method": "adam", "arch": "resnet50", "weights": "0" * 64, "data": {"dataset": "other"}}
    (tmp_path / "card.json").write_text(json.dumps(card))
    assert checkpoint_pretrainings([tmp_path]) == [Pretraining(f"adam, {tmp_path.name}", "other")]
    (tmp_path / "card.json").write_text(json.dumps(card | {"data": "ImageNet"}))
    with pytest.raises(UsageError, match="names no pretraining dataset"):
        checkpoint_pretrainings([tmp_path])
    with pytest.raises(WeightsMissing, match="no finished checkpoint"):
        checkpoint_pretrainings([tmp_path / "nowhere"])


def test_all_pairs_are_written_for_the_researcher(root):
    audits = audit(["chestx-det", "chestxray14"], settings(root), PRETRAINED)
    folder = storage.write(root / "runs", audits)
    rows = list(csv.DictReader((folder / "pairs.csv").read_text().splitlines()))
    pretrained = [row for row in rows if row["finding"] == "test images pretrained on"]
    assert [(row["image"], row["other_image"], row["same_pixels"]) for row in pretrained] == [
        ("test_x1_a", "train_02_a", "1"),
        ("test_x2_a", "train_01_b", "0"),
    ]
    assert {row["other_patient"] for row in pretrained} == {"01", "02"}


@pytest.mark.trap("overlaps", "said in the report")
def test_the_report_says_what_the_stored_audit_found(root):
    storage.write(root / "runs", audit(["chestx-det", "chestxray14"], settings(root), PRETRAINED))
    audits = storage.load(root / "runs")
    (seen, patients, origin) = said(audits, root)
    assert seen.startswith("leakage: 2 of 4 test images were pretrained on")
    assert "as their copies in chestxray14 tell" in patients
    assert "4 of the 5 here were found there" in origin
    assert said(audits, root, {"other": ""}) == [patients]


def test_an_audit_of_other_data_is_not_reported_and_the_rule_is(root):
    storage.write(root / "runs", audit(["chestx-det", "chestxray14"], settings(root), PRETRAINED))
    audits, others = storage.load(root / "runs"), digest(["as", "many", "other", "images"])
    for asked in ({"phantom": True}, {"test": others}):
        (sentence,) = said(audits, root, **asked)
        assert "count them with 'eden-bench data audit chestx-det'" in sentence


def test_an_audit_against_a_part_silences_no_warning_unless_the_part_is_what_was_pretrained_on(root, readers):
    readers["chestxray14"].expected_images = 112_120
    storage.write(root / "runs", audit(["chestx-det", "chestxray14"], settings(root), PRETRAINED))
    audits = storage.load(root / "runs")
    *_, rule = said(audits, root)
    assert "were taken from ChestX-ray14" in rule
    assert "test images may have been seen: count them" in rule
    own = readers["chestxray14"].index(root / "data" / "chestxray14").split_digest("train")
    *_, origin = said(audits, root, {"chestxray14": own})
    assert "4 of the 5 here were found there" in origin


def test_an_audit_that_cannot_be_read_is_passed_over(tmp_path):
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "scr.json").write_text("{")
    (tmp_path / "audit" / "drive.json").write_text("[]")
    (tmp_path / "audit" / "deep.json").write_text("[" * 100_000)
    (tmp_path / "audit" / "endless.json").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "audit" / "pipe.json")
    assert storage.load(tmp_path) == {}


@pytest.mark.trap("vindr-rib", "196 and 49 images, a subset of VinDr-CXR's")
@pytest.mark.trap("overlaps", "the known origins")
def test_the_rules_name_datasets_that_exist_and_every_kind_has_advice():
    rules = [rule for name in datasets.names() for rule in origins(name)]
    assert {rule.source for rule in rules} == {"chestxray14", "vindr-cxr"} <= set(datasets.names())
    assert [rule.source for rule in origins("vindr-rib")] == ["vindr-cxr"]
    assert origins("scr") == origins("nobody's") == []
    assert ADVICE.keys() == LEVELS.keys()
