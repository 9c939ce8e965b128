"""A plugin file: two encoders of the same pixels, one shows them by its own pooling alone, one by its map alone."""

from dataclasses import dataclass

from eden_bench.contracts import EncoderSource, MethodCard, MethodConfig
from eden_bench.digests import digest
from eden_bench.encoders import Encoder
from eden_bench.registry import register_method


class Shows(Encoder):
    channels, strides = (64,), (64,)
    by_map = True

    def pixels(self, images):
        from torch.nn import functional

        return functional.adaptive_avg_pool2d(images.mean(dim=1, keepdim=True), 8).reshape(len(images), -1)

    def maps(self, images):
        shown = self.pixels(images) if self.by_map else images.new_ones(len(images), 64)
        return (shown[:, :, None, None],)

    def embed(self, images):
        return images.new_ones(len(images), 64) if self.by_map else self.pixels(images)


class ByMap(Shows):
    arch = "by-map"


class ByItself(Shows):
    arch, by_map = "by-itself", False


@dataclass(frozen=True, kw_only=True)
class NoConfig(MethodConfig):
    pass


class Source(EncoderSource):
    Config = NoConfig
    probe_only = True
    card = MethodCard(title="Toy", paper="none", licence="none", backbone="none", data="none", differences=("none",))
    makes = ByMap

    def __init__(self, config):
        self.config = config

    def weights_digest(self):
        return digest(self.makes.arch)

    def load_encoder(self, seed):
        return self.makes()


@register_method("by-map")
class MapSource(Source):
    pass


@register_method("by-itself")
class OwnSource(Source):
    makes = ByItself
