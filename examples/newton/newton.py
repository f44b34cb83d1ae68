# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Newton's basins
#
# Newton's method finds a root of $f$ by walking along tangents,
#
# $$ z_{n+1} = z_n - \frac{f(z_n)}{f'(z_n)}. $$
#
# Which root it finds depends on where it starts, and the border between the answers is a fractal. This
# document is one of a pair: `newton.ipynb` beside it is the same notebook. The text is the source.

# %%
import matplotlib.pyplot as plt
import numpy as np

plt.style.use("../look.mplstyle")


def basins(coefficients, span=1.6, size=(640, 384), steps=40):
    """Which root each starting point ends at, and after how many steps."""
    f = np.poly1d(coefficients)
    roots = f.roots[np.argsort(np.angle(f.roots))]
    width, height = size
    x = np.linspace(-span * width / height, span * width / height, width)
    y = np.linspace(-span, span, height)
    z = (x[None, :] + 1j * y[::-1, None]).ravel()
    taken = np.full(z.size, steps, dtype=float)
    walking = np.arange(z.size)
    for n in range(steps):
        step = f(z[walking]) / f.deriv()(z[walking])
        z[walking] -= step
        size_of_step = np.abs(step)
        there = size_of_step < 1e-3
        taken[walking[there]] = n + np.log(1e-3) / np.log(np.maximum(size_of_step[there], 1e-12))
        walking = walking[~there]
    nearest = np.argmin(np.abs(z[:, None] - roots), axis=1)
    return nearest.reshape(height, width), taken.reshape(height, width), roots


# %%
colours = np.array([[47, 111, 159], [209, 96, 61], [79, 157, 105], [139, 95, 191], [201, 154, 46]]) / 255


def show(ax, coefficients, span=1.6, **options):
    nearest, taken, roots = basins(coefficients, span, **options)
    brightness = 0.3 + 1.15 * np.exp(-taken / 9)
    ax.imshow(np.clip(colours[nearest] * brightness[..., None] ** 0.9, 0, 1), extent=(-span * 5 / 3, span * 5 / 3, -span, span))
    ax.plot(roots.real, roots.imag, "o", color="white", ms=3.5, mec="0.2", mew=0.5)
    ax.axis("off")


# %% [markdown]
# ## Three roots
#
# The basins of $z^3 - 1$: bright where few steps suffice.

# %%
fig, ax = plt.subplots(figsize=(640 / 110, 384 / 110), layout="none")
ax.set_position([0, 0, 1, 1])
show(ax, [1, 0, 0, -1])
plt.show()

# %% [markdown]
# ## Others

# %%
fig, axes = plt.subplots(1, 3, figsize=(7, 1.7))
for ax, coefficients, title in zip(
    axes, [[1, 0, 0, 0, 0, -1], [1, 0, -2, 2], [1, 0, 0, 3, -4]], ["$z^5 - 1$", "$z^3 - 2z + 2$", "$z^4 + 3z - 4$"]
):
    show(ax, coefficients, size=(250, 150))
    ax.set_title(title, fontsize=9.5, fontweight="normal")
plt.show()

# %% [markdown]
# In the middle one there are dark lakes: from there the method runs in a circle, $0 \to 1 \to 0$, for ever.
