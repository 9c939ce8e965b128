"""What names a pretraining does not move when its config is given a new optional member."""

import pytest

from eden_bench import protocols, registry
from eden_bench.digests import digest

CONFIGS = {
    "adam": ("0ada90a696590d31", "65eda12ba00e021e"),
    "densecl": ("d8109fd3bb6b4c3d", "4ac3ac6188d73a71"),
    "dira": ("9d8e76912373797b", "9437cef84e8fa44a"),
    "medical-mae": ("ef5b03835823059f", "516871c02bbd65b2"),
    "moco-v2": ("64c82276a58c769d", "4804a560e22d7a66"),
    "pcrl": ("42eccec3741f0bd8", "d46166d3ed1f3298"),
    "random": ("c6ccfc288cfa46cf", "0dab7dc858d5787c"),
    "simmim": ("cc88bfc9db5f3249", "c343542f3ed66fe3"),
    "supervised-chestxray14": ("846880912e1187de", "8fc05f3c6adf99cb"),
    "supervised-imagenet": ("c6ccfc288cfa46cf", "0dab7dc858d5787c"),
    "transvw": ("847320c1eef490e3", "0685351722e930ad"),
    "vicregl": ("8f479e095f1680e7", "01efdc99f7306026"),
}
"""Digests under the protocols paper and quick, of commit ae0d019; part of recipes and of cells. One that moves makes
every stored pretraining of its method another's."""


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configs_digest_is_that_of_stored_pretrainings(name):
    config = registry.methods.get(name).Config()
    quick = protocols.QUICK.method_config(name, config)
    assert (digest(config)[:16], digest(quick)[:16]) == CONFIGS[name]
