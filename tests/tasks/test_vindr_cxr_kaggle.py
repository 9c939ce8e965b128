"""Kaggle's layout of VinDr-CXR."""

import pytest

from eden_bench.contracts import Context
from eden_bench.errors import DataDamaged, DataMissing
from tasks.reading.vindr import KAGGLE_CLASSES
from tasks.vindr_cxr import LABELS, vindr_cxr, vindr_cxr_task
from tests.tasks.test_vindr_cxr import (
    IDS,
    KAGGLE,
    lay,
    lay_kaggle,
    positives,
    texts,
)


@pytest.mark.trap("vindr-cxr", "Kaggle's table has boxes only", "two labels, said; the task refuses it")
def test_kaggles_table_tells_two_labels_and_says_so(tmp_path):
    index = vindr_cxr.index(lay_kaggle(tmp_path))
    assert index.label_names == ("Pleural effusion", "No finding")
    assert positives(index) == {IDS[0]: {"Pleural effusion"}, IDS[1]: {"No finding"}}
    assert any("tells Pleural effusion and No finding, and its test images have none" in note for note in index.notes)
    assert texts(vindr_cxr.check(tmp_path), "error") == []


@pytest.mark.trap("vindr-cxr", "Kaggle's table has boxes only")
def test_the_task_refuses_kaggles_layout_in_one_sentence(tmp_path):
    index = vindr_cxr.index(lay_kaggle(tmp_path))
    expected = (
        r"^vindr-cxr: .* does not say Lung tumor, Pneumonia, Tuberculosis, Other diseases of any image, expected six "
        r"labels of each: put image_labels_train\.csv.*boxes only$"
    )
    with pytest.raises(DataMissing, match=expected):
        vindr_cxr_task.open(index, vindr_cxr_task.protocol("quick"), Context(cache=tmp_path))


def test_physionets_tables_beside_kaggles_are_what_is_read(tmp_path):
    lay_kaggle(lay(tmp_path))
    assert vindr_cxr.index(tmp_path).label_names == LABELS


@pytest.mark.trap("vindr-cxr", "Kaggle's class 14 is `No finding`")
@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"{IDS[0]},Pleural efusion,10,R1,2,2,9,9", r"row 2 has the class_name 'Pleural efusion' \(Did you mean"),
        (f"{IDS[0]},Pleural effusion,9,R1,2,2,9,9", "row 2 has the class_id '9' for 'Pleural effusion', expected 10"),
        (f"{IDS[0]},Pleural effusion", "row 2 has 2 fields, expected at least 4"),
        ("../../etc,Pleural effusion,10,R1,2,2,9,9", r"row 2 has the image_id '\.\./\.\./etc', expected 32 hexa"),
    ],
)
def test_a_row_of_kaggles_that_cannot_be_is_named(tmp_path, row, message):
    with pytest.raises(DataDamaged, match=rf"train\.csv {message}"):
        vindr_cxr.index(lay_kaggle(tmp_path, (row, *KAGGLE)))


@pytest.mark.trap("vindr-cxr", "Kaggle's class 14 is `No finding`", "held, and its id is checked against its name")
def test_kaggles_fourteenth_class_is_no_finding():
    assert len(KAGGLE_CLASSES) == 15
    assert KAGGLE_CLASSES[14] == "No finding"
    assert KAGGLE_CLASSES[10] == "Pleural effusion"
