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
# # Spots, stripes and mazes
#
# Two substances diffuse and react: $U$ is fed, $V$ eats it and dies. Alan Turing saw that this is
# enough to paint a leopard. The model of Gray and Scott is
#
# $$
# \frac{\partial u}{\partial t} = D_u \nabla^2 u - u v^2 + F (1 - u), \qquad
# \frac{\partial v}{\partial t} = D_v \nabla^2 v + u v^2 - (F + k)\, v .
# $$

# %%
import numpy as np

D_u, D_v = np.float32(0.16), np.float32(0.08)


# %%
def react(F, k, size=(112, 168), steps=5000, seed=1):
    """The concentration of V after ``steps``, on a torus, from a few random drops."""
    rng = np.random.default_rng(seed)
    rows, columns = size
    # A frame of one cell around the domain is a copy of the opposite side.
    u = np.ones((rows + 2, columns + 2), dtype=np.float32)
    v = np.zeros_like(u)
    for i, j in rng.integers((6, 6), (rows - 6, columns - 6), (28, 2)):
        u[i - 4 : i + 4, j - 4 : j + 4] = 0.5
        v[i - 4 : i + 4, j - 4 : j + 4] = 0.25 + 0.1 * rng.random()
    F, decay = np.float32(F), np.float32(F + k)
    for _ in range(steps):
        for w in (u, v):
            w[0], w[-1] = w[-2], w[1]
            w[:, 0], w[:, -1] = w[:, -2], w[:, 1]
        a, b = u[1:-1, 1:-1], v[1:-1, 1:-1]
        eaten = a * b * b
        du = D_u * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] - 4 * a) - eaten + F * (1 - a)
        dv = D_v * (v[:-2, 1:-1] + v[2:, 1:-1] + v[1:-1, :-2] + v[1:-1, 2:] - 4 * b) + eaten - decay * b
        a += du
        b += dv
    return v[1:-1, 1:-1].copy()


# %% [markdown]
# Feed and decay decide what grows. A small change turns solitary spots into a maze.

# %%
kinds = {
    "dividing spots": (0.035, 0.0645),
    "maze": (0.040, 0.0600),
    "worms": (0.054, 0.0628),
    "holes": (0.039, 0.0580),
}
grown = {name: react(F, k) for name, (F, k) in kinds.items()}

# %% tags=["active-ipynb"]
# import matplotlib.pyplot as plt
#
# plt.style.use("../look.mplstyle")
#
# fig, axes = plt.subplots(2, 2, figsize=(7, 5))
# for ax, (name, v), cmap in zip(axes.flat, grown.items(), ["YlGnBu", "pink_r", "bone_r", "copper"]):
#     ax.imshow(v, cmap=plt.get_cmap(cmap, 14), interpolation="bicubic", interpolation_stage="data")
#     ax.set_title(f"{name}    $F$ = {kinds[name][0]:.3f}, $k$ = {kinds[name][1]:.4f}", fontsize=9.5)
#     ax.axis("off")
# plt.show()

# %% tags=["active-py"]
# As a script the example has no pictures: it says how much of the plane is covered.
for name, v in grown.items():
    print(f"{name:15s} {np.mean(v > 0.15):6.1%}")
