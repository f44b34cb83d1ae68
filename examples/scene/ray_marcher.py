# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A ray marcher in sixty lines
#
# A three-dimensional scene needs no triangles. It can be one function: the **signed distance** from any
# point to the nearest surface. A ray then walks through space in strides as long as that distance,
# which is always safe, until it arrives. NumPy walks all rays at once.

# %%
import matplotlib.pyplot as plt
import numpy as np

plt.style.use("../look.mplstyle")

width, height = 800, 450
sun = np.array([0.55, 0.65, -0.52], dtype=np.float32)
sun /= np.linalg.norm(sun)

# %% [markdown]
# ## The scene
#
# Six balls which melt into each other, over a floor. Two distances $a$ and $b$ are joined smoothly by
#
# $$ \min\nolimits_s(a, b) = \min(a, b) - \tfrac{1}{4s}\,\max(s - |a - b|,\, 0)^2 . $$


# %%
angles = np.linspace(0, 2 * np.pi, 5, endpoint=False) + 0.35
balls = [((0.0, 0.15, 0.0), 0.78)] + [
    ((1.22 * np.cos(a), 0.45 * np.sin(2 * a) + 0.05, 1.22 * np.sin(a)), 0.36 + 0.07 * np.cos(3 * a)) for a in angles
]
balls = [(np.array(centre, dtype=np.float32), np.float32(radius)) for centre, radius in balls]
floor = np.float32(-0.85)


def smooth_min(a, b, s=np.float32(0.45)):
    return np.minimum(a, b) - np.maximum(s - np.abs(a - b), 0) ** 2 / (4 * s)


def blob(p):
    """Distance to the melted balls."""
    distance = None
    for centre, radius in balls:
        d = np.sqrt(np.einsum("ij,ij->i", p - centre, p - centre)) - radius
        distance = d if distance is None else smooth_min(distance, d)
    return distance


def scene(p):
    return np.minimum(blob(p), p[:, 1] - floor)


# %% [markdown]
# ## Walking
#
# Rays that have arrived, or have left the scene, drop out: each step handles the rest alone.


# %%
def march(origin, direction, far=14.0, steps=90):
    """Distance travelled along each ray; ``far`` where nothing was met."""
    travelled = np.zeros(len(direction), dtype=np.float32)
    walking = np.arange(len(direction))
    for _ in range(steps):
        d = scene(origin[walking] + travelled[walking, None] * direction[walking])
        travelled[walking] += d
        walking = walking[(d > 1e-3) & (travelled[walking] < far)]
        if not walking.size:
            break
    return np.minimum(travelled, far)


def normals(p, h=np.float32(1e-3)):
    """The gradient of the distance, from four points of a tetrahedron."""
    corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], dtype=np.float32)
    n = sum(corner * scene(p + h * corner)[:, None] for corner in corners)
    return n / np.linalg.norm(n, axis=1, keepdims=True)


def shadow(p, softness=9.0):
    """How much of the sun is seen: 1 in the open, with a soft edge, 0 in the dark."""
    light = np.ones(len(p), dtype=np.float32)
    t = np.full(len(p), 0.03, dtype=np.float32)
    for _ in range(26):
        d = blob(p + t[:, None] * sun)
        light = np.minimum(light, np.clip(softness * d / t, 0, 1))
        t += np.clip(d, 0.02, 0.4)
    return light


# %% [markdown]
# ## The camera
#
# One ray per pixel, from a point a little above the floor.

# %%
eye = np.array([0.0, 1.15, -4.4], dtype=np.float32)
target = np.array([0.0, -0.1, 0.0], dtype=np.float32)
forward = (target - eye) / np.linalg.norm(target - eye)
right = np.cross([0, 1, 0], forward)
right /= np.linalg.norm(right)
up = np.cross(forward, right)

u, v = np.meshgrid(
    (np.arange(width) + 0.5 - width / 2) / height, -(np.arange(height) + 0.5 - height / 2) / height
)
rays = 1.45 * forward + u.reshape(-1, 1) * right + v.reshape(-1, 1) * up
rays = (rays / np.linalg.norm(rays, axis=1, keepdims=True)).astype(np.float32)

far = 14.0
distance = march(np.broadcast_to(eye, rays.shape), rays, far)
hit = distance < far
points = eye + distance[hit, None] * rays[hit]
normal = normals(points)

# %% [markdown]
# ## Light
#
# Sun, sky, and a rim of reflected sky at grazing angles; what lies far away fades into the haze.

# %%
on_floor = points[:, 1] < floor + 4e-3
checker = (np.floor(1.25 * points[:, 0]) + np.floor(1.25 * points[:, 2])) % 2
albedo = np.where(
    on_floor[:, None],
    np.where(checker[:, None] > 0, [0.30, 0.34, 0.42], [0.46, 0.50, 0.58]),
    0.5 + 0.42 * np.cos(2 * np.pi * (0.14 * points[:, :1] + 0.22 * points[:, 1:2] + np.array([0.02, 0.30, 0.52]))),
)

sunlight = np.clip(normal @ sun, 0, 1) * shadow(points + 2e-3 * normal)
skylight = 0.5 + 0.5 * normal[:, 1]
occlusion = np.clip(0.35 + scene(points + 0.22 * normal) / 0.22 * 0.65, 0, 1)
half = sun - rays[hit]
half /= np.linalg.norm(half, axis=1, keepdims=True)
gloss = np.clip(np.einsum("ij,ij->i", normal, half), 0, 1) ** 60 * sunlight * ~on_floor
rim = (1 - np.clip(-np.einsum("ij,ij->i", normal, rays[hit]), 0, 1)) ** 4 * ~on_floor

sky = np.array([0.55, 0.66, 0.80]) + np.clip(rays[:, 1:2], 0, 1) * np.array([-0.55, -0.42, -0.20])
picture = sky.copy()
colour = albedo * (
    1.5 * sunlight[:, None] * np.array([1.0, 0.93, 0.80]) + (0.55 * skylight * occlusion)[:, None] * np.array([0.75, 0.87, 1.0])
)
colour += 0.9 * gloss[:, None] + (0.35 * rim * occlusion)[:, None] * np.array([0.7, 0.85, 1.0])
haze = 1 - np.exp(-((distance[hit] / 9) ** 3))
picture[hit] = colour * (1 - haze[:, None]) + sky[hit] * haze[:, None]
picture = (np.clip(picture, 0, 1) ** (1 / 2.0)).reshape(height, width, 3)

# %%
fig, ax = plt.subplots(figsize=(7, 7 * height / width), layout="none")
ax.set_position([0, 0, 1, 1])
ax.imshow(picture, interpolation="lanczos")
ax.axis("off")
plt.show()

# %% [markdown]
# ## What the rays know
#
# On the way to a picture we have met three fields worth a look of their own.

# %%
depth = distance.reshape(height, width)
facing = np.zeros((height * width, 3))
facing[hit] = 0.5 + 0.5 * normal
lit = np.zeros(height * width)
lit[hit] = sunlight

fig, axes = plt.subplots(1, 3, figsize=(7, 1.7))
axes[0].imshow(depth, cmap="bone_r", vmin=2.5, vmax=9)
axes[1].imshow(facing.reshape(height, width, 3))
axes[2].imshow(lit.reshape(height, width), cmap="magma")
for ax, title in zip(axes, ["distance", "normal", "sunlight"]):
    ax.set_title(title, fontsize=9, fontweight="normal")
    ax.axis("off")
plt.show()
