import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from eden_bench import registry
from eden_bench.encoders import parameter_count
from pretrain.adam import AdamConfig
from tests.pretrain.tiny import config, method, train_step, views


@pytest.mark.trap(
    "adam", "head 2048-2048-128 with biases, no batch norm", "4,458,624 parameters, 27,966,656 with the encoder"
)
def test_parameter_counts_are_those_of_the_released_model():
    student = registry.methods.get("adam")(AdamConfig(queue_size=1)).moco.student
    assert parameter_count(student.encoder) == 23_508_032
    assert parameter_count(student.head) == 4_458_624
    assert parameter_count(student) == 27_966_656


@pytest.mark.trap("adam", "levels 0, 2, 4; 200 epochs each", "three stages")
def test_stages_go_from_coarse_to_fine():
    stages = AdamConfig().stages
    assert [(s.level, s.rows, s.columns, s.epochs) for s in stages] == [(0, 1, 1, 200), (2, 2, 2, 200), (4, 4, 4, 200)]


def test_grid_decomposition_is_the_released_codes():
    stages = AdamConfig(levels=(3,), decomposition="grid").stages
    assert (stages[0].rows, stages[0].columns) == (3, 3)


def test_views_are_rotated_and_neither_flipped_nor_grey():
    (query, key) = method("adam").recipes(config("adam").stages[1])
    assert query == key
    assert (query.rotation_deg, query.flip_p, query.grey_p) == (30, 0, 0)
    assert (query.crop_scale, query.jitter_p, query.blur_p) == ((0.2, 1.0), 0.8, 0.5)


def fill_with_queries(made):
    """Put each query itself into the queue: what a collision looks like."""
    made.moco.eval()
    with torch.no_grad():
        queries = made.moco.student(views().images[0])
    made.moco.queue.push(queries)


@pytest.mark.trap("adam", "pruning is off at level 0", "off")
@pytest.mark.parametrize(("stage", "prunes"), [(0, False), (1, True), (2, True)])
def test_the_pruner_is_on_at_levels_above_zero(stage, prunes):
    made = method("adam", stage=stage)
    fill_with_queries(made)
    made.losses(views())
    assert (made.metrics["kept"] < 1) == prunes


@pytest.mark.trap("adam", "per query; nothing is deleted from the queue; the positive stays", "held")
def test_the_loss_is_algorithm_1_over_the_queue():
    made = method("adam", stage=1)
    fill_with_queries(made)
    moco = made.moco
    with torch.no_grad():
        q, k = moco.student(views().images[0]), moco.teacher(views().images[1])
    losses = []
    for b in range(len(q)):
        similar = q[b] @ moco.queue.keys
        own = torch.exp(q[b] @ k[b] / 0.2)
        losses.append(-torch.log(own / (own + torch.exp(similar[similar < 0.8] / 0.2).sum())))
    torch.testing.assert_close(made.losses(views())["contrast"], torch.stack(losses).mean())


def test_the_queue_stores_the_teachers_keys_and_the_teacher_follows():
    made = method("adam")
    moco = made.moco
    before = moco.teacher.head[0].weight.clone()
    train_step(made)
    expected = 0.9 * before + 0.1 * moco.student.head[0].weight
    torch.testing.assert_close(moco.teacher.head[0].weight, expected)
    assert int(moco.queue.pointer) == 8
    torch.testing.assert_close(moco.queue.keys.norm(dim=0), torch.ones(20))


@pytest.mark.trap("adam", "embeddings of unit length", "held")
def test_embeddings_have_unit_length():
    embedded = method("adam").moco.student(views().images[0])
    torch.testing.assert_close(embedded, F.normalize(embedded, dim=1))


@pytest.mark.trap("adam", "teacher moved before the key forward; parameters only")
def test_the_teachers_batch_statistics_come_from_its_own_passes():
    made = method("adam")
    train_step(made)
    mean = {name: value for name, value in made.moco.teacher.named_buffers() if name.endswith("bn1.running_mean")}
    student = dict(made.moco.student.named_buffers())
    assert all(value.abs().max() > 0 and not value.equal(student[name]) for name, value in mean.items())


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("levels", (), "at least one level"),
        ("levels", (0, -1), "level must be at least 0, not -1"),
        ("decomposition", "spiral", "'recursive' or 'grid', not 'spiral'"),
        ("pruning_threshold", -1.5, "pruning_threshold must be at least -1, not -1.5"),
        ("temperature", 0.0, "temperature must be at least 0.025, not 0.0"),
        ("teacher_momentum", 1.5, r"teacher_momentum must be in \[0, 1\], not 1.5"),
        ("queue_size", 0, "queue_size must be at least 1, not 0"),
        ("bn_groups", 200, r"batch_size must be at least 2 \* bn_groups = 400, not 256"),
    ],
)
def test_nonsense_is_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        AdamConfig(**{field: value})
