"""
Light through a small hole
==========================

Far behind an opening, light does not draw the opening's shadow but the square of its **Fourier
transform**. This script, in the style of a sphinx-gallery example, shows the pattern of a few openings.
"""

##############################################################################
# An opening is a function :math:`A(x, y)`, one where light passes and zero elsewhere. At a great
# distance the intensity seen in the direction :math:`(\theta_x, \theta_y)` is
#
# .. math::
#
#    I(\theta_x, \theta_y) \propto \left| \iint A(x, y)\,
#    e^{-2\pi i (x \theta_x + y \theta_y) / \lambda}\, dx\, dy \right|^2 .

import matplotlib.pyplot as plt
import numpy as np

plt.style.use("../look.mplstyle")

n = 1024
x, y = np.meshgrid(np.arange(n) - n // 2, np.arange(n) - n // 2)


def far_field(opening):
    """Intensity far behind an opening, with one at the centre."""
    field = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(opening)))
    intensity = np.abs(field) ** 2
    return intensity / intensity.max()


##############################################################################
# Four openings
# -------------
#
# A hole, a square, a hexagon as in a segmented mirror, and two holes side by side.

turned = [np.abs(np.cos(a) * x + np.sin(a) * y) for a in np.deg2rad([0, 60, 120])]
openings = {
    "hole": np.hypot(x, y) < 24,
    "square": (np.abs(x) < 22) & (np.abs(y) < 22),
    "hexagon": np.max(turned, axis=0) < 23,
    "two holes": (np.hypot(x - 38, y) < 16) | (np.hypot(x + 38, y) < 16),
}

fig, axes = plt.subplots(2, 4, figsize=(7, 3.75), facecolor="#10141c")
near, far = slice(n // 2 - 80, n // 2 + 80), slice(n // 2 - 110, n // 2 + 110)
for (name, opening), (above, below) in zip(openings.items(), axes.T):
    above.imshow(opening[near, near], cmap="gray", interpolation="bilinear")
    below.imshow(np.log10(far_field(opening)[far, far] + 1e-9), cmap="magma", vmin=-4.6, vmax=-0.2)
    above.set_title(name, color="#d9dde4", fontsize=10)
    for ax in (above, below):
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
plt.show()

##############################################################################
# The Airy disc
# -------------
#
# The pattern of a round hole of diameter :math:`D` is known in closed form: with
# :math:`u = \pi D \theta / \lambda` it is :math:`\left(2 J_1(u) / u\right)^2`, whose first dark ring
# lies at :math:`\theta = 1.22\,\lambda / D`. That ring is what limits a telescope.

from scipy.special import j1

radius = 24
angle = np.linspace(1e-6, 5, 2000)  # in units of wavelength per diameter
airy = (2 * j1(np.pi * angle) / (np.pi * angle)) ** 2
computed = far_field(openings["hole"])[n // 2, n // 2 :]

fig, ax = plt.subplots(figsize=(7, 3))
ax.semilogy(angle, airy, label="closed form")
ax.semilogy(2 * radius * np.arange(n // 2) / n, computed, "o", ms=3, mew=0, color="C1", label="Fourier transform")
ax.axvline(1.22, color="0.5", lw=1, ls=(0, (4, 3)))
ax.annotate(r"$1.22\,\lambda/D$", (1.22, 0.3), xytext=(5, 0), textcoords="offset points")
ax.set(xlim=(0, 5), ylim=(1e-6, 2), xlabel=r"angle [$\lambda/D$]", ylabel="intensity", title="A round hole")
ax.legend()
plt.show()
