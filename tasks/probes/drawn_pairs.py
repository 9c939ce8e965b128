"""What a figure of matching is drawn from: the first test film, the films searched for its landmarks, and places.

Chosen by no score. Places are shares of the film's side, which restore no image; the films themselves go along only
where a record may hold them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from eden_bench.data.image_store import resized

FILM_PX = 192
"""Longest side of a stored film: a figure shows it an inch wide."""


def arrays(
    names: Sequence[str],
    searched: Mapping[str, tuple[np.ndarray, np.ndarray]],
    template: np.ndarray,
    side_px: int,
    films: Sequence[np.ndarray] = (),
) -> dict[str, np.ndarray]:
    """Return the arrays that a record of matching stores.

    Args:
        names: of L landmarks.
        searched: kind of search to the true places and the found ones, (L, 2) x and y in pixels, NaN where there is
            none.
        template: (L, 2) of the landmarks on the film that they are taken from.
        side_px: side of all films.
        films: (S, S) uint8: the template's, then one a search; none where no record may hold them.

    Returns:
        "names", "kinds", "template" (L, 2), "truth" and "found" (K, L, 2) float32 in shares of the side, and "films"
        (1 + K, s, s) uint8 where they are given.
    """
    truth, found = (np.array([both[which] for both in searched.values()]) for which in (0, 1))
    places = {"template": template, "truth": truth, "found": found}
    shares = {name: (where / side_px).astype(np.float32) for name, where in places.items()}
    small = {"films": np.stack([resized(film, min(side_px, FILM_PX)) for film in films])} if len(films) else {}
    return {"names": np.array(names), "kinds": np.array(list(searched)), **shares, **small}
