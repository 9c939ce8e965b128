"""Plain Siam: two views predict each other, one side held still (after Chen & He, CVPR 2021, arXiv:2011.10566).

A plain ``nn.Module`` with the required members only. Not as in the paper: the projector has two layers, to keep the
example short.
"""

import torch
from torch import nn
from torch.nn.functional import cosine_similarity

from eden_bench import MethodCard, PretrainConfig, ViewRecipe, build_encoder, register_method


@register_method("plain-siam")
class PlainSiam(nn.Module):
    Config = PretrainConfig
    card = MethodCard(
        title="Plain Siam",
        paper="Chen & He, CVPR 2021, arXiv:2011.10566",
        licence="written from the paper's formula",
        backbone="ResNet-50",
        data="ImageNet",
        differences=("two-layer projector",),
    )

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config.arch)
        width = self.encoder.out_channels
        self.project = nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, width))
        self.predict = nn.Sequential(nn.Linear(width, width // 4), nn.ReLU(), nn.Linear(width // 4, width))

    def recipes(self, stage):
        recipe = ViewRecipe(
            size_px=self.config.size_px, crop_scale=(0.2, 1.0), jitter_p=0.8, brightness=0.4, contrast=0.4, flip_p=0.5
        )
        return (recipe, recipe)

    def optimisers(self):
        return {
            "main": torch.optim.SGD(
                self.parameters(), self.config.lr, self.config.momentum, weight_decay=self.config.weight_decay
            )
        }

    def losses(self, views, turn="main"):
        first, second = (self.project(self.encoder.embed(image)) for image in views.images)
        forth = cosine_similarity(self.predict(first), second.detach()).mean()
        back = cosine_similarity(self.predict(second), first.detach()).mean()
        return {"similarity": -(forth + back) / 2}
