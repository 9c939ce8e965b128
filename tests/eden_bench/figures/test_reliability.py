"""Reliability curves from bins that were computed elsewhere."""

from eden_bench.figures.reliability import Bin, reliability

BINS = [Bin(0.05, 0.1, 60), Bin(0.5, 0.0, 0), Bin(0.9, 0.7, 40)]


def test_a_curve_is_the_bins_that_are_not_empty():
    found = reliability({"adam": BINS, "densecl": BINS[:1]}, "Effusion", ("PHANTOM",))
    top, bottom = found.figure.axes
    assert top.lines[1].get_xydata().tolist() == [[0.05, 0.1], [0.9, 0.7]]
    assert bottom.lines[0].get_xydata().tolist() == [[0.05, 60], [0.9, 40]]
    assert found.figure.get_suptitle() == "PHANTOM"
    assert found.caption.endswith("n = 60 to 100 cases.")
    assert [text.get_text() for text in found.figure.legends[0].get_texts()] == [
        "perfectly calibrated",
        "adam",
        "densecl",
    ]
