"""A batch of scaled pictures -> the batch augmented, in torch; see `augmentation`. `augment_keras` does the same."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from aslspark.common.settings import AugmentConfig
from aslspark.features.augmentation import (
    COLOUR,
    DARK_RIM,
    GREY,
    ORDERS,
    QUARTER_TURN,
    blur_sides,
    mixes_channels,
    moves,
    square_side,
)


def augment(pictures: torch.Tensor, settings: AugmentConfig) -> torch.Tensor:
    """Augment pictures, each with its own random numbers.

    Parameters
    ----------
    pictures : tensor of float32, shape (n, channels, height, width), values 0-1

    Returns
    -------
    tensor of the same shape; brightness, contrast and colour may take values out of 0-1
    """
    n, channels, height, width = pictures.shape

    def chosen(probability: float) -> torch.Tensor:
        if 0 < probability < 1:
            return torch.rand(n, device=pictures.device) < probability
        return torch.full((n,), probability == 1, device=pictures.device)

    def draw(probability: float, most: float, count: int = 1) -> torch.Tensor:
        if not probability:
            return torch.zeros(count, n, device=pictures.device)
        amounts = (torch.rand(count, n, device=pictures.device) * 2 - 1) * most
        return amounts * chosen(probability)

    if settings.background_probability:
        ground = backgrounds(n, channels, height, width, pictures.device)
        replaced = chosen(settings.background_probability)
        pictures = replace_background(pictures, ground, replaced, settings.background_darkness)
    if moves(settings):
        angle = draw(settings.rotation_probability, math.radians(settings.rotation_degrees))[0]
        scale = 1 + draw(settings.scale_probability, settings.scale)[0]
        shear = draw(settings.shear_probability, settings.shear)[0]
        shift = draw(settings.shift_probability, settings.shift, count=2)
        pictures = move(pictures, angle, scale, shear, shift, chosen(settings.flip_probability))
    contrast = 1 + draw(settings.contrast_probability, settings.contrast)[0]
    brightness = draw(settings.brightness_probability, settings.brightness)[0]
    if mixes_channels(settings, channels):
        hue = draw(settings.hue_probability, math.radians(settings.hue_degrees))[0]
        saturation = 1 + draw(settings.saturation_probability, settings.saturation)[0]
        order = torch.randint(1, len(ORDERS), (n,), device=pictures.device)
        order = order * chosen(settings.channel_shuffle_probability)
        pictures = recolour(pictures, contrast, brightness, colour_matrices(hue, saturation, order))
    elif settings.contrast_probability or settings.brightness_probability:
        pictures = recolour(pictures, contrast, brightness)
    if settings.blur_probability:
        sides = torch.tensor(blur_sides(settings), device=pictures.device)
        side = sides[torch.randint(len(sides), (n,), device=pictures.device)]
        pictures = blur(pictures, torch.where(chosen(settings.blur_probability), side, 1))
    if settings.coarse_dropout_probability:
        count = torch.randint(settings.holes_least, settings.holes_most + 1, (n,), device=pictures.device)
        count = count * chosen(settings.coarse_dropout_probability)
        pictures = pictures.masked_fill(holes(count, height, width, settings), 0)
    return pictures


def move(
    pictures: torch.Tensor,
    angle: torch.Tensor,
    scale: torch.Tensor,
    shear: torch.Tensor,
    shift: torch.Tensor,
    flip: torch.Tensor,
) -> torch.Tensor:
    """Resample pictures by affine maps about their middle.

    Parameters
    ----------
    pictures : tensor of float32, shape (n, channels, height, width)
    angle, scale, shear, shift, flip
        As for `augment_keras.move`.
    """
    height, width = pictures.shape[2:]
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    # grid_sample's coordinates are from -1 to 1. torch's affine_grid would take longer than the resampling itself.
    x = (torch.arange(width, device=pictures.device) * 2 + 1) / width - 1
    y = (torch.arange(height, device=pictures.device) * 2 + 1) / height - 1
    x, y = x.reshape(1, 1, -1), y.reshape(1, -1, 1)
    side = torch.where(flip, -1.0, 1.0)
    a, b, c = side * cosine, side * (shear - sine) * (height / width), side * 2 * shift[0]
    d, e, f = sine * (width / height), cosine, 2 * shift[1]
    a, b, c, d, e, f = (part.reshape(-1, 1, 1) for part in (a, b, c, d, e, f))
    grid = torch.stack([a * x + (b * y + c), d * x + (e * y + f)], dim=3)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def colour_matrices(hue: torch.Tensor, saturation: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Build the linear maps of the RGB channels.

    Parameters
    ----------
    hue, saturation, order
        As for `augment_keras.colour_matrices`.

    Returns
    -------
    tensor of float32, shape (n, 3, 3)
    """
    grey, colour, quarter, orders = (
        torch.from_numpy(part).to(hue.device) for part in (GREY, COLOUR, QUARTER_TURN, ORDERS)
    )
    along, across = saturation * torch.cos(hue), saturation * torch.sin(hue)
    return orders[order] @ (grey + along.reshape(-1, 1, 1) * colour + across.reshape(-1, 1, 1) * quarter)


def recolour(
    pictures: torch.Tensor, contrast: torch.Tensor, brightness: torch.Tensor, matrices: torch.Tensor | None = None
) -> torch.Tensor:
    """Map the channels of each picture linearly.

    Parameters
    ----------
    pictures : tensor of float32, shape (n, channels, height, width)
    contrast, brightness, matrices
        As for `augment_keras.recolour`.
    """
    offset = brightness + 0.5 - 0.5 * contrast
    if matrices is None:
        return torch.addcmul(_a_picture(offset), pictures, _a_picture(contrast))
    mixed = torch.baddbmm(offset.reshape(-1, 1, 1), matrices * contrast.reshape(-1, 1, 1), pictures.flatten(2))
    return mixed.reshape(pictures.shape)


def blur(pictures: torch.Tensor, sides: torch.Tensor) -> torch.Tensor:
    """Blur pictures by the mean over a square of pixels.

    Parameters
    ----------
    pictures : tensor of float32, shape (n, channels, height, width)
    sides : tensor of int64, shape (n,)
        1, 3, 5 or 7; 1 changes nothing.
    """
    n, channels, height, width = pictures.shape
    distance = torch.arange(-3, 4, device=pictures.device).abs()
    line = (2 * distance < sides.reshape(-1, 1)) / sides.reshape(-1, 1)
    kernels = (line.reshape(-1, 1, 7, 1) * line.reshape(-1, 1, 1, 7)).repeat_interleave(channels, 0)
    padded = F.pad(pictures, (3, 3, 3, 3), mode="reflect").reshape(1, n * channels, height + 6, width + 6)
    return F.conv2d(padded, kernels, groups=n * channels).reshape(pictures.shape)


def holes(count: torch.Tensor, height: int, width: int, settings: AugmentConfig) -> torch.Tensor:
    """Draw masks of rectangular holes.

    Parameters
    ----------
    count, height, width, settings
        As for `augment_keras.holes`.

    Returns
    -------
    tensor of bool, shape (n, 1, height, width): True in holes
    """
    most, device = settings.holes_most, count.device

    def spans(side: int) -> torch.Tensor:
        size: torch.Tensor
        place: torch.Tensor
        size, place = torch.rand(2, len(count), most, 1, device=device)
        size = settings.hole_size_least + size * (settings.hole_size_most - settings.hole_size_least)
        start = place * (1 - size)
        middle = (torch.arange(side, device=device) + 0.5) / side
        return (middle >= start) & (middle < start + size)

    exists = torch.arange(most, device=device) < count.reshape(-1, 1)
    rows, columns = (spans(height) & exists.unsqueeze(2)).float(), spans(width).float()
    return (rows.transpose(1, 2) @ columns > 0).unsqueeze(1)


def replace_background(
    pictures: torch.Tensor, ground: torch.Tensor, chosen: torch.Tensor, darkness: float
) -> torch.Tensor:
    """Replace dark backgrounds of hands.

    Parameters
    ----------
    pictures, ground : tensor of float32, shape (n, channels, height, width)
    chosen, darkness
        As for `augment_keras.replace_background`.
    """
    side = square_side(*pictures.shape[2:])
    brightest = pictures.amax(dim=1, keepdim=True)
    dark = (brightest < darkness).float()
    middles = (_box_sum(dark, side) > side * side - 0.5).float()
    ground_share = dark * (_box_sum(middles, 2 * side + 1) > 0.5) * (1 - brightest / darkness)
    rim = torch.cat([dark[:, 0, 0], dark[:, 0, -1], dark[:, 0, :, 0], dark[:, 0, :, -1]], dim=1).mean(dim=1)
    return pictures + ground_share * _a_picture(chosen & (rim >= DARK_RIM)) * ground


def backgrounds(n: int, channels: int, height: int, width: int, device: torch.device) -> torch.Tensor:
    """Draw backgrounds: each a plain colour, a gradient or noise, shape (n, channels, height, width), values 0-1."""
    kind = _a_picture(torch.randint(3, (n,), device=device))
    corners = torch.rand(n, channels, 2, 2, device=device)
    corners = torch.where(kind == 0, corners[:, :, :1, :1], corners)
    smooth = F.interpolate(corners, (height, width), mode="bilinear")
    return torch.where(kind == 2, torch.rand_like(smooth), smooth)


def _box_sum(values: torch.Tensor, side: int) -> torch.Tensor:
    """Sum over the square around each pixel, shape (n, 1, height, width); outside the picture values are 0."""
    n = len(values)
    ones = torch.ones(n, 1, side, 1, device=values.device)
    # Pictures as channels of one picture: torch is ten times as slow for many pictures of one channel.
    columns = F.conv2d(values.transpose(0, 1), ones, padding=(side // 2, 0), groups=n)
    return F.conv2d(columns, ones.transpose(2, 3), padding=(0, side // 2), groups=n).transpose(0, 1)


def _a_picture(values: torch.Tensor) -> torch.Tensor:
    """Reshape (n,) to (n, 1, 1, 1)."""
    return values.reshape(-1, 1, 1, 1)
