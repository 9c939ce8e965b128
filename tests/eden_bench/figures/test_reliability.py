"""Reliability curves from bins that were computed elsewhere."""

from types import SimpleNamespace

from eden_bench.figures.reliability import reliability

ADAM = SimpleNamespace(cases=(60, 40), predicted=(0.05, 0.9), observed=(0.1, 0.7))
DENSE = SimpleNamespace(cases=(60,), predicted=(0.05,), observed=(0.1,))


def test_a_curve_is_its_bins_above_how_many_cases_they_hold():
    found = reliability({"adam": ADAM, "densecl": DENSE}, "Effusion", ("PHANTOM",))
    top, bottom = found.figure.axes
    assert top.lines[0].get_xydata().tolist() == [[0, 0], [1, 1]]
    assert top.lines[1].get_xydata().tolist() == [[0.05, 0.1], [0.9, 0.7]]
    assert bottom.lines[0].get_xydata().tolist() == [[0.05, 60], [0.9, 40]]
    assert found.figure.get_suptitle() == "PHANTOM"
    assert found.caption.endswith("Effusion, n = 60 to 100 predictions.")
    assert [text.get_text() for text in found.figure.legends[0].get_texts()] == [
        "perfectly calibrated",
        "adam",
        "densecl",
    ]
