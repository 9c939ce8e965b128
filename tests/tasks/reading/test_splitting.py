"""Train and test by a hash of each patient: disjoint, fixed, and the same for a part as for the whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eden_bench.errors import DataMissing
from tasks.reading.splitting import by_patient, few_tested, fold_of, rule

PATIENTS = {f"{number}-{image}": f"patient {number}" for number in range(1000) for image in range(1 + number % 3)}


def test_every_patient_is_on_one_side_with_all_images():
    tested = by_patient("x", PATIENTS)
    sides = {}
    for image, patient in PATIENTS.items():
        sides.setdefault(patient, set()).add(image in tested)
    assert all(len(side) == 1 for side in sides.values())


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_the_share_of_test_patients_is_near_what_is_asked_for(share):
    tested = {PATIENTS[image] for image in by_patient("x", PATIENTS, share)}
    assert len(tested) / 1000 == pytest.approx(share, abs=0.04)


@pytest.mark.trap("datasets", "a split that moves when files are absent", "it depends on each patient's name alone")
@given(st.sets(st.integers(0, 999), min_size=100, max_size=120))
def test_a_patient_stays_on_its_side_when_others_come_and_go(kept):
    fewer = {image: patient for image, patient in PATIENTS.items() if int(patient.split()[1]) in kept}
    assert by_patient("x", fewer) == by_patient("x", PATIENTS) & fewer.keys()


def test_datasets_are_split_independently_and_the_order_of_images_does_not_matter():
    assert by_patient("x", PATIENTS) == by_patient("x", dict(reversed(PATIENTS.items())))
    assert by_patient("x", PATIENTS) != by_patient("y", PATIENTS)


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_neither_side_is_ever_empty(share):
    few = {f"i{number}": f"p{number}" for number in range(4)}
    assert 0 < len(by_patient("x", few, share)) < 4


def test_one_patient_cannot_be_split():
    with pytest.raises(DataMissing, match="x: 1 patients, expected at least 2"):
        by_patient("x", {"a": "p", "b": "p"})


def test_the_split_is_what_it_was_when_results_were_stored():
    assert sorted(by_patient("scr", {f"i{n}": f"p{n}" for n in range(20)})) == ["i11", "i13", "i17", "i4", "i9"]


def test_the_rule_says_how_many_patients_are_tested_not_how_many_should_be():
    tested = by_patient("x", PATIENTS, 0.25)
    count = len({PATIENTS[image] for image in tested})
    assert count not in (250, len(tested))
    assert rule(PATIENTS, tested, 0.25) == (
        f"{count} of 1,000 patients are the test set, those whose hash of dataset and patient is below 25% "
        "(at least one on either side)"
    )


def test_fewer_than_ten_test_images_are_warned_of():
    assert few_tested("x", [str(number) for number in range(10)]) == ()
    (note,) = few_tested("x", ["a", "b"])
    assert note.startswith("x: 2 images are the test set, expected at least 10")


def test_more_folds_than_patients_are_refused_and_each_is_tested_once_otherwise():
    patients = {f"image{k}": f"patient{k // 3}" for k in range(24)}
    with pytest.raises(DataMissing, match="x: 8 patients, expected at least 9, one a fold: say fewer folds"):
        fold_of("x", patients, 1, 9)
    tested = [fold_of("x", patients, fold, 5) for fold in range(1, 6)]
    assert sorted(image for images in tested for image in images) == sorted(patients)
    assert sum(len({patients[image] for image in images}) for images in tested) == 8
