"""Copies among many images: C12 against a loop over queries, how well copies are found, and the time for 100,000.

Run ``python -m benchmarks.duplicates`` from the repository root; ``--images FOLDER`` takes radiographs of your own
(PNG, one a patient), else ``--patients`` of the phantom are drawn, two films of each. imagededup, the peer that C12
names, compares hashes in a loop over queries; the loop here is that, with numpy's own population count.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.timing import Bar, Equality, Side, arguments, compare, report, wanted
from eden_bench import seeds
from eden_bench.audit.hashing import WINDOWS, Hashes, ranks, thumbnail
from eden_bench.audit.matching import aligned_detail, find_copies, near_bits

INDEX, QUERIES, BITS = 112_120, 3_578, 40
LIMIT_S = 15.0
TIMED, WANTED = 10_000, 100_000
NEAREST = 200
"""Pairs of different patients whose detail is looked at although their bits may differ too much."""

Change = Callable[[np.ndarray, int], np.ndarray]


def main() -> None:
    """Measure what --only names: C12, quality, time."""
    options = arguments(__doc__ or "", images="", patients="60")
    bars = [scan(options.repeats)] if wanted(options, "C12") else []
    if wanted(options, "quality") or wanted(options, "time"):
        films, people = _films(options.images, int(options.patients))
        if wanted(options, "quality"):
            for line in quality(films, people):
                print(line, flush=True)
        if wanted(options, "time"):
            print("\n".join(timed(films)))
    report(bars, as_json=options.json)


def scan(repeats: int) -> Bar:
    """C12: 3,578 queries against 112,120 hashes of 256 bits, a thousand of them planted copies."""
    rng = seeds.generator(0, "C12")
    index = rng.integers(0, 2**64, (INDEX, 4), dtype=np.uint64)
    queries = rng.integers(0, 2**64, (QUERIES, 4), dtype=np.uint64)
    queries[:1000] = index[rng.integers(0, INDEX, 1000)]
    queries[:1000] ^= _few_bits(rng, 1000)
    columns = np.ascontiguousarray(index.T[None])

    def ours() -> set[tuple[int, int]]:
        return set(zip(*map(np.ndarray.tolist, near_bits(queries, columns, BITS)), strict=True))

    def loop() -> set[tuple[int, int]]:
        near = (np.flatnonzero(np.bitwise_count(index ^ query).sum(1) <= BITS) for query in queries)
        return {(row, column) for row, found in enumerate(near) for column in found.tolist()}

    start = time.perf_counter()
    found = ours()
    seconds, same = time.perf_counter() - start, found == loop()
    text = f"{'the same' if same else 'other'} {len(found):,} pairs, and ours took {seconds:.1f} s (<= {LIMIT_S:g} s)"
    return compare(
        "C12",
        f"scan {INDEX:,} × {QUERIES:,} hashes of 256 bits, one core",
        Side("near_bits", ours),
        Side("loop over queries", loop),
        target=1.0,
        equality=Equality(same and len(found) >= 1000 and seconds <= LIMIT_S, text),
        repeats=repeats,
    )


def _few_bits(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return masks (count, 4) uint64 with about 16 of 256 bits set."""
    bits = rng.random((count, 256)) < 1 / 16
    return np.packbits(bits, axis=1).view(np.uint64)


def quality(films: list[np.ndarray], people: list[int]) -> Iterator[str]:
    """Measure recall on one planted copy of each film for each change, and count the other pairs found."""
    originals = np.stack([thumbnail(film) for film in films])
    yield f"{len(films)} films of {len(set(people))} patients, {films[0].shape[0]} px"
    for name, change in _changes().items():
        copies = np.stack([thumbnail(change(film, number)) for number, film in enumerate(films)])
        yield _line(name, originals, copies, people)
    hashes = Hashes.of(originals)
    differing = np.array([np.bitwise_count(one ^ hashes.fine).sum(-1).min(1) for one in hashes.fine[:, 0]])
    strangers = np.not_equal.outer(people, people)
    kinds = {"different patients": strangers, "two films of one patient": ~strangers & ~np.eye(len(people), dtype=bool)}
    for name, which in kinds.items():
        if which.any():
            yield _nearest(name, differing, which, hashes, originals)


def _line(name: str, originals: np.ndarray, copies: np.ndarray, people: list[int]) -> str:
    count, thumbs = len(people), np.concatenate([originals, copies])
    found = find_copies(Hashes.of(thumbs), thumbs)
    planted = [copy.detail for copy in found if abs(copy.second - copy.first) == count]
    false = sum(people[copy.first % count] != people[copy.second % count] for copy in found)
    other = len(found) - len(planted) - false
    pairs = int(np.not_equal.outer(people * 2, people * 2).sum()) // 2
    worst = min(planted, default=0.0)
    return (
        f"{name:34} found {len(planted):4}/{count} ({len(planted) / count:.2%}), false pairs {false}/{pairs:,}, pairs "
        f"of two films of one patient {other}, lowest detail {worst:.3f}"
    )


def _nearest(name: str, differing: np.ndarray, which: np.ndarray, hashes: Hashes, thumbs: np.ndarray) -> str:
    """Report how similar the nearest pairs are that are not copies."""
    rows, columns = np.nonzero(which)
    nearest = np.argsort(differing[rows, columns])[:NEAREST]
    details = [
        aligned_detail(
            thumbs[a], thumbs[b], WINDOWS[int(np.bitwise_count(hashes.fine[a, 0] ^ hashes.fine[b]).sum(-1).argmin())]
        )
        for a, b in zip(rows[nearest], columns[nearest], strict=True)
    ]
    return f"{name}: fewest differing bits {differing[which].min()} of 256, highest detail {max(details):.3f}"


def timed(films: list[np.ndarray]) -> list[str]:
    """Time the comparison of 10,000 images and extrapolate: hashing is linear, comparison quadratic.

    The thumbnails are drawn from a Gaussian with the films' own mean and covariance, so as many get through each sieve
    as among real ones.
    """
    ranked = ranks(np.stack([thumbnail(film) for film in films])).reshape(len(films), -1)
    mean, spread = ranked.mean(0), (ranked - ranked.mean(0)) / np.sqrt(len(films))
    thumbs = np.empty((TIMED, 64, 64), np.uint8)
    for number, thumb in enumerate(thumbs):
        drawn = mean + seeds.generator(0, "timed", str(number)).standard_normal(len(films)) @ spread
        thumb[:] = np.clip((drawn + 0.5) * 255, 0, 255).reshape(64, 64)
    start = time.perf_counter()
    hashes = Hashes.of(thumbs)
    hashed, used = time.perf_counter() - start, time.process_time()
    copies = find_copies(hashes, thumbs)
    compared, used = time.perf_counter() - start - hashed, time.process_time() - used
    larger = WANTED / TIMED
    return [
        f"{TIMED:,} images: hashed in {hashed:.1f} s, compared in {compared:.1f} s ({used:.1f} s of processor time, "
        f"{len(copies)} pairs)",
        f"{WANTED:,} images, extrapolated: {(hashed * larger + compared * larger**2) / 60:.1f} min after decoding",
    ]


def _changes() -> dict[str, Change]:
    import cv2

    def sized(side_px: int) -> Change:
        return lambda film, number: np.asarray(cv2.resize(film, (side_px, side_px), interpolation=cv2.INTER_AREA))

    def encoded(film: np.ndarray, number: int) -> np.ndarray:
        coded = cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, 50])[1]
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE))

    def raised(power: float) -> Change:
        return lambda film, number: np.round(255 * (film / 255.0) ** power).astype(np.uint8)

    def cut(*edges: float) -> Change:
        return lambda film, number: _trimmed(film, edges)

    def anywhere(film: np.ndarray, number: int) -> np.ndarray:
        return _trimmed(film, tuple(seeds.generator(0, "trim", str(number)).uniform(0, 1 / 16, 4)))

    edge = 1 / 16
    return {
        "exact": lambda film, number: film,
        "resized to 512": sized(512),
        "resized to 224": sized(224),
        "JPEG, quality 50": encoded,
        **{f"gamma {power}": raised(power) for power in (0.7, 0.9, 1.1, 1.4)},
        "64 of 1024 px off the left": cut(0, 0, edge, 0),
        "64 of 1024 px off the bottom": cut(0, edge, 0, 0),
        "64 of 1024 px off a corner": cut(edge, 0, 0, edge),
        "64 of 1024 px off every side": cut(edge, edge, edge, edge),
        "up to 64 px off every side": anywhere,
        "that, gamma 0.7, 512 px and JPEG": lambda film, n: encoded(
            raised(0.7)(sized(512)(anywhere(film, n), n), n), n
        ),
    }


def _trimmed(film: np.ndarray, edges: tuple[float, ...]) -> np.ndarray:
    height, width = film.shape
    top, bottom, left, right = (
        round(share * side) for share, side in zip(edges, (height, height, width, width), strict=True)
    )
    return film[top : height - bottom, left : width - right]


def _films(folder: str, patients: int) -> tuple[list[np.ndarray], list[int]]:
    """Read radiographs, one a patient, or draw two films of each phantom patient; return films and patients."""
    import cv2

    if folder:
        files = sorted(Path(folder).rglob("*.png"))
        return [np.asarray(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)) for file in files], list(range(len(files)))
    from tasks.phantom import draw_patient, render

    visits = [(number, visit) for number in range(patients) for visit in (0, 1)]
    films = [render(draw_patient(3, number, follow_up=visit)).image for number, visit in visits]
    return films, [number for number, _ in visits]


if __name__ == "__main__":
    main()
