import pytest

from baselines.moco_v2 import MoCoV2Config
from tests.pretrain.tiny import config, method, train_step


@pytest.mark.trap("moco-v2", "official views or Adam's first stage")
def test_official_views_flip_and_grey_and_adams_rotate():
    (stage,) = config("moco-v2").stages
    official, _ = method("moco-v2").recipes(stage)
    assert (official.flip_p, official.grey_p, official.rotation_deg) == (0.5, 0.2, 0)
    adams, _ = method("moco-v2", augmentation="adam").recipes(stage)
    assert (adams.flip_p, adams.grey_p, adams.rotation_deg) == (0, 0, 30)


@pytest.mark.trap(
    "moco-v2", "official views or Adam's first stage", '`augmentation="moco"` or `"adam"`, which equals Adam\'s level 0'
)
def test_with_adams_views_it_is_adams_first_stage():
    mine, adams = method("moco-v2", augmentation="adam"), method("adam")
    assert [train_step(mine, s) for s in range(4)] == [train_step(adams, s) for s in range(4)]
    assert mine.recipes(config("moco-v2").stages[0]) == adams.recipes(config("adam").stages[0])


def test_an_unknown_augmentation_is_refused():
    with pytest.raises(ValueError, match="augmentation must be 'moco' or 'adam', not 'none'"):
        MoCoV2Config(augmentation="none")
