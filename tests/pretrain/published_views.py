"""The published view pipeline, torchvision on PIL images, on parameters that were drawn: the oracle of ours."""

import numpy as np
from PIL import Image, ImageFilter
from torchvision.transforms import functional as pil


def by_pil(cell, draws, i, recipe):
    """The published pipeline: torchvision's functions on a PIL image, (S, S, 3) uint8."""
    image = Image.fromarray(cell).convert("RGB")
    image = pil.resized_crop(image, *draws.crop[i].tolist(), [recipe.size_px, recipe.size_px])
    jitters = (pil.adjust_brightness, pil.adjust_contrast, pil.adjust_saturation, pil.adjust_hue)
    for jitter in draws.order[i]:
        image = jitters[jitter](image, float(draws.factors[i, jitter]))
    image = pil.rgb_to_grayscale(image, 3) if draws.grey[i] else image
    image = image.filter(ImageFilter.GaussianBlur(float(draws.sigma_px[i]))) if draws.sigma_px[i] else image
    image = pil.solarize(image, recipe.solarise_threshold) if draws.solarise[i] else image
    image = pil.rotate(image, float(draws.angle_deg[i])) if draws.angle_deg[i] else image
    return np.asarray(pil.hflip(image) if draws.flip[i] else image)


def psnr(a, b):
    return 10 * np.log10(255**2 / max(np.mean((a.astype(float) - b) ** 2), 1e-9))
