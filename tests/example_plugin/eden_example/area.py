"""Lab area: how well the nearest film of another person tells a film's lung area."""

from dataclasses import dataclass, field, replace

import numpy as np

from eden_bench import Features, OpenTask, Outcome, ScoreDefinition, Task, register_statistic, register_task
from eden_bench.data.image_store import open_images, open_masks
from eden_bench.digests import digest


@dataclass(frozen=True, kw_only=True)
class AreaProtocol:
    features: Features = field(default_factory=Features)
    films: int = 200


@register_statistic("eden-example-median")
def median(columns, name):
    """The median of the score's column."""
    return float(np.median(np.asarray(columns[name], float)))


class OpenArea(OpenTask):
    def __init__(self, index, protocol, context):
        self.items = index.split("test")[: protocol.films]
        wanted = replace(index, items=self.items)
        size_px = protocol.features.size_px
        store = open_images(wanted, context.dataset, size_px, context)
        masks = open_masks(wanted, context.dataset, ("lungs",), size_px, context)
        self.films, self.protocol = np.asarray(store.images), protocol
        self.area = np.asarray(masks.masks).reshape(len(self.items), -1).astype(bool).mean(axis=1)
        self.data = {
            "dataset": index.dataset,
            "digest": digest([store.digest, masks.digest]),
            "splits": digest([item.id for item in self.items]),
            "split_rule": "the dataset's own test list",
            "test_list": index.split_digest("test"),
            "train": 0,
            "validation": 0,
            "test": len(self.items),
            "part": index.part,
            "phantom": index.phantom,
        }

    def run(self, encoder, seed, shots=None):
        from eden_bench.encoders import features

        found = features(encoder, self.films, self.protocol.features)
        distance = ((found[:, None] - found[None]) ** 2).sum(axis=2)
        person = np.array([item.patient for item in self.items])
        others = person[:, None] != person[None]
        nearest = np.where(others, distance, np.inf).argmin(axis=1)
        error = 100 * np.abs(self.area - self.area[nearest])
        chance = 100 * np.abs(self.area[:, None] - self.area[None])[others].mean()
        return Outcome(
            scores={"area_error": float(np.median(error))},
            cases={"case": [item.id for item in self.items], "patient": person.tolist(), "area_error": error},
            controls={"any other person's film": float(chance)},
            arrays={"features": found, "area": self.area, "nearest": nearest},
        )


class LabArea(Task):
    name, dataset, kind, title = "lab-area", "lab-lungs", "probe", "Lung area of the nearest film"
    repeats = "once"
    groups = ("probes",)
    score = ScoreDefinition(
        name="area_error",
        text="Absolute difference of lung area, in points of the film's area, to the nearest film of another person in "
        "feature space; median over films.",
        unit="points",
        bounds=(0, 100),
        higher_is_better=False,
        statistic="eden-example-median",
    )

    def protocol(self, name):
        return AreaProtocol(features=Features(size_px={"paper": 224, "quick": 64}[name]))

    def open(self, index, protocol, context):
        return OpenArea(index, protocol, context)


register_task(LabArea())
