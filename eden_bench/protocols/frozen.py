"""Frozen evaluation: protocols under which an encoder is read and not trained.

``linear`` is at the paper's size, ``linear-quick`` at that of ``quick``: methods are pretrained as in ``paper`` and
``quick``. What each does is a protocol of its task's (``tasks.finetuning.frozen``); a task that has none of the name
is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

TITLES: Mapping[str, str] = {
    "linear": "Frozen encoder, logistic regression on its features; C chosen on validation. Classification.",
    "knn": "Frozen encoder, weighted votes of the nearest training images; k chosen on validation. Classification.",
    "attentive": "Frozen encoder, one attention layer with a learned query on its map. Classification.",
    "frozen-seg": "Frozen encoder, batch norm and a 1 × 1 convolution on its last map. Segmentation.",
    "frozen-unet": "Frozen encoder, the U-Net decoder trained as in fine-tuning. Segmentation.",
    "lora": "Low-rank updates of the attention projections and the head, all else frozen. Transformers.",
}
"""Name to one line for lists."""

READS_ANY = ("linear", "knn")
"""Those that need no more of an encoder than features, so that controls and embeddings from a file stand in them."""

_QUICK = "-quick"


def names() -> list[str]:
    """Return the names of the frozen protocols."""
    return [name + size for name in TITLES for size in ("", _QUICK)]


def of(name: str) -> tuple[str, str]:
    """Return the evaluation and the base that a name means.

    >>> of("linear"), of("frozen-seg-quick")
    (('linear', 'paper'), ('frozen-seg', 'quick'))
    """
    return name.removesuffix(_QUICK), "quick" if name.endswith(_QUICK) else "paper"


def of_tasks(evaluation: str, base: str) -> str:
    """Return the name of a task's own protocol; the base's where nothing is frozen."""
    return base if not evaluation else evaluation + (_QUICK if base == "quick" else "")


def is_quick(of_task: str) -> bool:
    """Return whether a task's own protocol is a quick one."""
    return of_task == "quick" or of_task.endswith(_QUICK)
