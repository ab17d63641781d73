"""Capsules, a camera and a light -> a picture: one ray for each sub-pixel, the nearest cone, then shading.

Rays meet round cones by the closed form of Inigo Quilez, "Round cone - intersection"
(https://iquilezles.org/articles/intersectors/); occlusion and soft shadows come from a few samples of the
distance field, after his "Rendering worlds with two triangles" (https://iquilezles.org/articles/nvscene2008/).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from aslspark.data.synthetic.capsules import JOINED, SLEEVE, Capsules
from aslspark.data.synthetic.skeleton import FloatArray

SUPERSAMPLING = 2
_TILE = 28
"""Side of a tile in sub-pixels. The picture is drawn tile by tile, since most tiles see only a few cones."""

_SKIN_BLEND = 0.35
"""Width of the blend between joined cones, in centimetres."""

_CREASE_WIDTH = 0.45
_OCCLUSION_REACH = 0.9
_SHADOW_REACHES = (0.9, 2.4)
_SHADOW_SOFTNESS = 0.35

_FLOAT = np.float32

Places = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera on the z axis, at `distance` from the origin, looking along -z.

    `zoom` is the focal length in widths of the picture; `centre` is the place of the z axis in the picture, as
    fractions, y downwards.
    """

    distance: float
    zoom: float
    centre: tuple[float, float]

    def project(self, points: FloatArray) -> FloatArray:
        """Project points (n, 3) to coordinates (n, 2), as fractions of the picture."""
        scale = self.zoom / (self.distance - points[:, 2])
        return np.stack([self.centre[0] + points[:, 0] * scale, self.centre[1] - points[:, 1] * scale], axis=1)

    def slopes(self, side: int) -> tuple[FloatArray, FloatArray]:
        """Return the slopes of the rays through a side x side grid: to the right by column, and down by row."""
        cells = (np.arange(side) + 0.5) / side
        return (cells - self.centre[0]) / self.zoom, (cells - self.centre[1]) / self.zoom


@dataclass(frozen=True)
class Light:
    """A distant lamp: unit `direction` towards it, and its `strength`; and the `ambient` light."""

    direction: FloatArray
    strength: float
    ambient: float


class _Solid:
    """Cones in the picture's frame, with precomputed products."""

    def __init__(self, flesh: Capsules) -> None:
        self.start, self.end = flesh.starts.astype(_FLOAT), flesh.ends.astype(_FLOAT)
        self.axis = self.end - self.start
        self.start_radius = flesh.start_radii.astype(_FLOAT)[:, None]
        self.end_radius = flesh.end_radii.astype(_FLOAT)[:, None]
        self.taper = self.start_radius - self.end_radius
        self.length2 = (self.axis**2).sum(axis=1, keepdims=True)

    def in_sight(self, distance: float, across: FloatArray, down: FloatArray) -> Places:
        """Return the cones that rays of these slopes may meet: a quick test with a margin."""
        near_or_far = []
        for centre, radius in ((self.start, self.start_radius), (self.end, self.end_radius)):
            depth = distance - centre[:, 2:]
            middle, margin = centre[:, :2] * [1, -1] / depth, 1.2 * radius / (depth - radius)
            near_or_far.append((middle - margin, middle + margin))
        (low, high), (low_end, high_end) = near_or_far
        low, high = np.minimum(low, low_end), np.maximum(high, high_end)
        seen = (low <= [across[-1], down[-1]]) & (high >= [across[0], down[0]])
        return np.flatnonzero(seen.all(axis=1))

    def first_hit(self, distance: float, rays: FloatArray, cones: Places) -> tuple[FloatArray, Places]:
        """Return the distance along each ray to the nearest cone (inf without one), and its place in `cones`."""
        eye = np.array([0, 0, distance], dtype=_FLOAT)
        axis, taper, length2 = self.axis[cones], self.taper[cones], self.length2[cones]
        start_radius, end_radius = self.start_radius[cones], self.end_radius[cones]
        from_start, from_end = eye - self.start[cones], eye - self.end[cones]
        along_start, along_end = from_start @ rays, from_end @ rays
        along_axis = along_start - along_end
        # Names as in the article, except that m1 has the taper subtracted already.
        m1 = (axis * from_start).sum(axis=1, keepdims=True) - taper * start_radius
        start2 = (from_start**2).sum(axis=1, keepdims=True)
        slant2 = length2 - taper**2
        k0 = slant2 * (start2 - start_radius**2) - m1**2
        k1 = slant2 * along_start - m1 * along_axis
        k2 = slant2 - along_axis**2
        # Most rays miss most cones: the rest is computed for hits alone.
        h = k1 * k1 - k0 * k2
        nearest = np.full(h.shape, np.inf, dtype=_FLOAT)
        met = np.flatnonzero(h > 0)
        cone = met // rays.shape[1]
        with np.errstate(divide="ignore", invalid="ignore"):  # a ray along the side meets it nowhere: inf or nan
            t = k0[cone, 0] / (np.sqrt(h.ravel()[met]) - k1.ravel()[met])
            y = m1[cone, 0] + t * along_axis.ravel()[met]
        on_side = (y > 0) & (y < slant2[cone, 0])
        nearest.ravel()[met[on_side]] = t[on_side]
        for along, centre, radius in (
            (along_start, from_start, start_radius),
            (along_end, from_end, end_radius),
        ):
            h = along * along - ((centre**2).sum(axis=1, keepdims=True) - radius**2)
            met = np.flatnonzero(h > 0)
            t = -along.ravel()[met] - np.sqrt(h.ravel()[met])
            nearest.ravel()[met] = np.minimum(nearest.ravel()[met], t)
        cone = nearest.argmin(axis=0)
        return nearest[cone, np.arange(cone.size)], cone

    def distances(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the distances (cones, n) of points (3, n) from each cone, and their places along its axis (0-1)."""
        ahead = self.axis @ points - (self.axis * self.start).sum(axis=1, keepdims=True)
        along = np.clip(ahead / self.length2, 0, 1)
        off2 = (points * points).sum(axis=0) - 2 * (self.start @ points)
        off2 += (self.start**2).sum(axis=1, keepdims=True)
        off2 += along * (along * self.length2 - 2 * ahead)
        return np.sqrt(np.maximum(off2, 0)) - (self.start_radius - self.taper * along), along

    def skin(self, points: FloatArray, cone: Places) -> tuple[FloatArray, FloatArray]:
        """Return normals (3, n) of points on the surface, blended where cones join, and distances to other cones."""
        distance, along = self.distances(points)
        joined = JOINED[:, cone]
        other = np.where(joined, np.inf, distance).min(axis=0)
        weight = np.exp(np.minimum(-distance / _SKIN_BLEND, 8)) * joined
        weight /= distance + self.start_radius - self.taper * along + 1e-3
        # A cone's normal is point - foot on its axis; their weighted sum needs no (cones, 3, n) array.
        normal = points * weight.sum(axis=0) - self.start.T @ weight - self.axis.T @ (weight * along)
        normal /= np.sqrt((normal * normal).sum(axis=0)) + 1e-9
        return normal, other


def _lit(solid: _Solid, points: FloatArray, cone: Places, light: Light) -> FloatArray:
    """Return the brightness of white skin at points (3, n)."""
    normal, other = solid.skin(points, cone)
    direction = light.direction.astype(_FLOAT)
    sun = np.clip((direction @ normal + 0.15) / 1.15, 0, None)  # light wraps a little around soft skin
    gap = solid.distances(points + normal * _FLOAT(_OCCLUSION_REACH))[0].min(axis=0)
    open_air = np.clip(gap / _OCCLUSION_REACH, 0, 1)
    for reach in _SHADOW_REACHES:
        sample = points + normal * _FLOAT(0.15) + direction[:, None] * _FLOAT(reach)
        gap = solid.distances(sample)[0].min(axis=0)
        sun *= np.clip(0.5 + gap / (2 * _SHADOW_SOFTNESS * reach), 0, 1)
    crease = 0.4 + 0.6 * np.clip(other / _CREASE_WIDTH, 0, 1)
    lamp = light.strength * sun * (0.45 + 0.55 * open_air)
    brightness: FloatArray = crease * (light.ambient * (0.25 + 0.75 * open_air) + lamp)
    return brightness


def render(
    flesh: Capsules,
    camera: Camera,
    light: Light,
    *,
    skin: FloatArray,
    sleeve: FloatArray,
    background: FloatArray,
) -> FloatArray:
    """Draw capsules in front of a background.

    Parameters
    ----------
    flesh : Capsules
        In the picture's frame: x right, y up, z to the viewer.
    skin, sleeve : np.ndarray
        Linear reflectance, shape (channels,), of the hand and of the lower forearm.
    background : np.ndarray
        Linear light behind the hand, shape (side, side, channels); side is `SUPERSAMPLING` times the picture's.

    Returns
    -------
    np.ndarray
        Linear light, shape (side / SUPERSAMPLING, side / SUPERSAMPLING, channels).
    """
    side, _, channels = background.shape
    solid = _Solid(flesh)
    picture = background.astype(_FLOAT)
    colours = np.where(SLEEVE[:, None], sleeve, skin).astype(_FLOAT)
    across, down = camera.slopes(side)
    for top, left in product(range(0, side, _TILE), range(0, side, _TILE)):
        rows, columns = slice(top, top + _TILE), slice(left, left + _TILE)
        cones = solid.in_sight(camera.distance, across[columns], down[rows])
        if not cones.size:
            continue
        x, y = np.meshgrid(across[columns], -down[rows])
        rays = np.stack([x, y, np.full_like(x, -1)]).astype(_FLOAT).reshape(3, -1)
        rays /= np.sqrt((rays * rays).sum(axis=0))
        reach, nearest = solid.first_hit(camera.distance, rays, cones)
        hit = np.flatnonzero(np.isfinite(reach))
        if not hit.size:
            continue
        cone = cones[nearest[hit]]
        points = rays[:, hit] * reach[hit]
        points[2] += _FLOAT(camera.distance)
        tile = picture[rows, columns]
        tile[np.unravel_index(hit, x.shape)] = _lit(solid, points, cone, light)[:, None] * colours[cone]
    cells = side // SUPERSAMPLING
    small: FloatArray = picture.reshape(cells, SUPERSAMPLING, cells, SUPERSAMPLING, channels).mean(axis=(1, 3))
    return small
