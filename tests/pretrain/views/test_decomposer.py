import pytest
from hypothesis import given
from hypothesis import strategies as st

from eden_bench.contracts import Stage
from pretrain.views.decomposer import PUBLISHED_LEVELS, cell_px, grid, stages


@pytest.mark.trap(
    "adam",
    "decomposition: halving by turns (paper) or n × n (official code); equal at 0, 2, 4",
    "`recursive`, or `grid`",
)
@pytest.mark.parametrize(
    ("level", "rows_columns", "part_px"),
    [
        (0, (1, 1), (1024, 1024)),
        (1, (1, 2), (1024, 512)),
        (2, (2, 2), (512, 512)),
        (3, (2, 4), (512, 256)),
        (4, (4, 4), (256, 256)),
        (6, (8, 8), (128, 128)),
    ],
)
def test_recursive_halving_gives_the_papers_parts(level, rows_columns, part_px):
    assert grid(level) == rows_columns
    assert cell_px(1024, 1024, *rows_columns) == part_px


@pytest.mark.trap("adam", "decomposition: halving by turns (paper) or n × n (official code); equal at 0, 2, 4")
@pytest.mark.parametrize(("level", "parts", "side_px"), [(0, 1, 1024), (1, 1, 1024), (3, 9, 341), (6, 36, 170)])
def test_grid_mode_is_the_released_code(level, parts, side_px):
    rows, columns = grid(level, "grid")
    assert rows * columns == parts
    assert cell_px(1024, 1024, rows, columns) == (side_px, side_px)


@pytest.mark.trap("adam", "decomposition: halving by turns (paper) or n × n (official code); equal at 0, 2, 4")
def test_the_modes_agree_at_the_published_levels():
    assert [grid(level) for level in PUBLISHED_LEVELS] == [grid(level, "grid") for level in PUBLISHED_LEVELS]


def halve(parts, vertically):
    """Cut every (top, left, height, width) in two; the plain reading of the paper's Fig. 2."""
    if vertically:
        return [(t, left + s * w / 2, h, w / 2) for t, left, h, w in parts for s in (0, 1)]
    return [(t + s * h / 2, left, h / 2, w) for t, left, h, w in parts for s in (0, 1)]


@given(st.integers(0, 9))
def test_recursive_parts_equal_halving_by_turns(level):
    parts = [(0.0, 0.0, 1.0, 1.0)]
    for turn in range(level):
        parts = halve(parts, vertically=turn % 2 == 0)
    rows, columns = grid(level)
    cells = {(r / rows, c / columns, 1 / rows, 1 / columns) for r in range(rows) for c in range(columns)}
    assert set(parts) == cells


def test_stages_name_their_level_and_parts():
    assert stages((0, 2, 4), 200) == (
        Stage("n0", 200, 0, 1, 1),
        Stage("n2", 200, 2, 2, 2),
        Stage("n4", 200, 4, 4, 4),
    )


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="level must be at least 0, not -1"):
        grid(-1)
    with pytest.raises(ValueError, match="mode must be 'recursive' or 'grid', not 'spiral'"):
        grid(1, "spiral")
    with pytest.raises(ValueError, match="at least one level"):
        stages((), 10)
    with pytest.raises(ValueError, match=r"differ from one another, not \(2, 2\)"):
        stages((2, 2), 10)
