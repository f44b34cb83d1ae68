# # Mantle convection in a box
#
# Rock flows. Over millions of years the Earth's mantle, heated from below and cooled from
# above, turns over like soup on a stove, only with a *viscosity* so large that inertia plays no part.
# In this example we solve the classic model of it and end at a published benchmark
# ([Blankenbach *et al.*, 1989](https://doi.org/10.1111/j.1365-246X.1989.tb05511.x)).
#
# The script is a plain Python program: `python convection.py` integrates the equations, prints the
# result and writes `Final_State.npz`. The cells which draw are active in the notebook alone.

# ## Equations
#
# In the Boussinesq approximation at infinite Prandtl number, with lengths scaled by the depth $d$, times by
# $d^2/\kappa$ and temperatures by the contrast $\Delta T$, the temperature $T$ and the stream
# function $\psi$ obey
#
# $$ \nabla^4 \psi = \mathrm{Ra}\, \frac{\partial T}{\partial x}, \qquad
#    \frac{\partial T}{\partial t} + \mathbf{u}\cdot\nabla T = \nabla^2 T, \qquad
#    \mathbf{u} = \Bigl(\frac{\partial\psi}{\partial z},\, -\frac{\partial\psi}{\partial x}\Bigr), $$
#
# in a box two units wide and one deep. One number is left, the Rayleigh number
#
# $$ \mathrm{Ra} = \frac{\alpha\,\rho\, g\,\Delta T\, d^3}{\kappa\,\eta}. $$
#
# The bottom is hot ($T=1$), the top is cold ($T=0$), no heat leaves through the sides, and the
# fluid slips along all four walls: $\psi = \nabla^2\psi = 0$.

# +
import os

import numpy as np

quick = os.environ.get("MOORAGE_EXAMPLE_QUICK") == "1"  # a coarse and short run, for testing

Ra = 1e4 if quick else 1e5
width, depth = 2.0, 1.0
nx, nz = (32, 16) if quick else (128, 64)
t_end = 0.10 if quick else 0.08

x = np.linspace(0, width, nx + 1)
z = np.linspace(0, depth, nz + 1)
# -

# ## A basis that knows the boundaries
#
# With $T = 1 - z + \theta$, every boundary condition is met by sines and cosines:
#
# $$ \theta = \sum_{m,n} \hat\theta_{mn} \cos k_m x \, \sin l_n z, \qquad
#    \psi = \sum_{m,n} \hat\psi_{mn} \sin k_m x \, \sin l_n z . $$
#
# The grid is small, so each transform is simply a matrix. The biharmonic equation becomes a division:
# $\hat\psi_{mn} = -\mathrm{Ra}\,k_m\hat\theta_{mn} / (k_m^2 + l_n^2)^2$. We keep two thirds of the modes the
# grid could hold, so that the products in $\mathbf{u}\cdot\nabla T$ are free of aliasing.

# +
k = np.pi * np.arange(2 * nx // 3) / width
l = np.pi * np.arange(2 * nz // 3) / depth

cos_x, sin_x = np.cos(np.outer(x, k)), np.sin(np.outer(x, k))
cos_z, sin_z = np.cos(np.outer(l, z)), np.sin(np.outer(l, z))

# The way back, from grid values to coefficients: the trapezoidal rule is exact here.
trapezoid = np.full(nx + 1, 1.0)
trapezoid[[0, -1]] = 0.5
to_cos_x = (2 / nx) * cos_x.T * trapezoid
to_cos_x[0] *= 0.5
to_sin_z = (2 / nz) * sin_z.T

laplacian = k[:, None] ** 2 + l[None, :] ** 2
inverse_biharmonic = np.divide(1.0, laplacian**2, out=np.zeros_like(laplacian), where=laplacian > 0)
# -


# +
def stream_function(theta):
    """Coefficients of the stream function which balances the buoyancy of ``theta``."""
    return -Ra * k[:, None] * theta * inverse_biharmonic


def velocity(psi):
    """Both components of the velocity on the grid."""
    u = sin_x @ (psi * l) @ cos_z
    w = -cos_x @ (psi * k[:, None]) @ sin_z
    return u, w


def advection(theta, u, w):
    """Coefficients of u . grad(T)."""
    T_x = -sin_x @ (theta * k[:, None]) @ sin_z
    T_z = cos_x @ (theta * l) @ cos_z - 1
    return to_cos_x @ (u * T_x + w * T_z) @ to_sin_z


def nusselt(theta):
    """Heat which leaves through the top, in units of what conduction alone would carry."""
    return 1 - np.sum(l * theta[0] * np.cos(l * depth))


# -

# ## Time stepping
#
# Diffusion is treated implicitly (Crank–Nicolson), which costs nothing here because it is diagonal;
# advection explicitly (Adams–Bashforth). The Courant number decides the step. We start from
# conduction, slightly warmer at both sides than in the middle, and let the box convect.

# +
theta = np.zeros_like(laplacian)
theta[2, 1] = 0.05

time, history, frames = 0.0, [], []
before, dt_before = None, 1.0
frame_times = np.r_[np.linspace(0, 0.003, 33), np.linspace(0.003, 0.03, 40)[1:]]  # the start in slow motion

while time < t_end:
    u, w = velocity(stream_function(theta))
    dt = min(0.4 * depth / nz / max(np.abs(u).max(), np.abs(w).max()), 1e-4)
    history.append((time, nusselt(theta), np.sqrt(np.mean(u**2 + w**2))))
    if len(frames) < len(frame_times) and time >= frame_times[len(frames)]:
        frames.append((time, 1 - z + cos_x @ theta @ sin_z))

    now = advection(theta, u, w)
    ratio = dt / dt_before if before is not None else 0.0
    rate = now + 0.5 * ratio * (now - (before if before is not None else now))
    theta = ((1 - 0.5 * dt * laplacian) * theta - dt * rate) / (1 + 0.5 * dt * laplacian)
    before, dt_before, time = now, dt, time + dt

psi = stream_function(theta)
T = 1 - z + cos_x @ theta @ sin_z
print(f"{len(history)} steps, {len(frames)} frames")
# -

# ## Does it agree with the benchmark?
#
# Two convection cells fill the box, mirror images of each other, each exactly the unit cell of
# the benchmark. Published are, for its cases 1a and 1b,
#
# | Ra | Nu | $v_\mathrm{rms}$ |
# |---:|---:|---:|
# | $10^4$ | 4.8844 | 42.8649 |
# | $10^5$ | 10.5341 | 193.2145 |

# +
u, w = velocity(psi)
weights = np.outer(np.r_[0.5, np.ones(nx - 1), 0.5], np.r_[0.5, np.ones(nz - 1), 0.5])
v_rms = np.sqrt(np.average(u**2 + w**2, weights=weights))

benchmark = {1e4: (4.8844, 42.8649), 1e5: (10.5341, 193.2145)}[Ra]
print(f"Nu    = {nusselt(theta):8.4f}   (benchmark {benchmark[0]:8.4f})")
print(f"v_rms = {v_rms:8.4f}   (benchmark {benchmark[1]:8.4f})")
# -

# The state is kept for whoever needs it next:
# [the example on dynamic topography](dynamic_topography.ipynb) begins where this one ends.

np.savez_compressed("Final_State.npz", T=T, theta=theta, psi=psi, x=x, z=z, k=k, l=l, Ra=Ra, t=time)

# ## The flow
#
# Colour is temperature, lines are streamlines. Hot rock rises at both walls in thin plumes, cold
# rock sinks in the middle.

# + tags=["active-ipynb"]
# import matplotlib.pyplot as plt
#
# plt.style.use("../look.mplstyle")
#
# fig, ax = plt.subplots(figsize=(7, 3.9))
# image = ax.contourf(x, z, T.T, levels=np.linspace(0, 1, 41), cmap="inferno")
# lines = np.abs((sin_x @ psi @ sin_z).T)
# ax.contour(x, z, lines, levels=lines.max() * np.linspace(0.1, 0.95, 6), colors="white", linewidths=0.7, alpha=0.5)
# ax.set(aspect="equal", xlabel="$x$", ylabel="$z$", title=f"Temperature and flow at Ra = {Ra:,.0f}")
# ax.spines[:].set_visible(False)
# bar = fig.colorbar(image, cax=ax.inset_axes([1.03, 0, 0.022, 1]), ticks=[0, 0.5, 1], label="$T$")
# bar.outline.set_visible(False)
# plt.show()
# -

# ## The road to the steady state
#
# Heat piles up in the boundary layers until they become unstable. The first plumes overshoot, and
# the flow then swings into its steady state.

# + tags=["active-ipynb"]
# times, Nu, v = np.array(history).T
#
# fig, (left, right) = plt.subplots(1, 2, figsize=(7, 2.9), sharex=True)
# left.plot(times, Nu)
# left.axhline(benchmark[0], color="0.45", ls=(0, (4, 3)), lw=1)
# left.annotate(f"benchmark {benchmark[0]:.3f}", (times[-1], benchmark[0]), xytext=(0, -5), textcoords="offset points",
#               ha="right", va="top", fontsize=8.5)
# left.set(xlabel="time $t$", title="Nusselt number", ylim=(0, None))
# right.plot(times, v, color="C1")
# right.axhline(benchmark[1], color="0.45", ls=(0, (4, 3)), lw=1)
# right.annotate(f"benchmark {benchmark[1]:.2f}", (times[-1], benchmark[1]), xytext=(0, -5), textcoords="offset points",
#                ha="right", va="top", fontsize=8.5)
# right.set(xlabel="time $t$", title="r.m.s. velocity", ylim=(0, None))
# plt.show()
# -

# ## The film
#
# Finally the first part of the run as an animation, `convection.gif`.

# + tags=["active-ipynb"]
# from matplotlib import colormaps
# from PIL import Image
#
# palette = (colormaps["inferno"](np.linspace(0, 1, 48))[:, :3] * 255).astype(np.uint8)
#
#
# def picture(T):
#     """One frame: 48 flat colours, which a GIF compresses well."""
#     levels = np.clip(T.T[::-1] * 48, 0, 47).astype(np.float32)
#     image = Image.fromarray(levels).resize((480, 240), Image.Resampling.BICUBIC)
#     image = Image.fromarray(np.clip(np.asarray(image), 0, 47).astype(np.uint8))
#     image.putpalette(palette.tobytes())
#     return image
#
#
# first, *others = [picture(T) for _, T in frames]
# first.save("convection.gif", save_all=True, append_images=others, duration=70, loop=0)
# -

# ![The plumes rise and sink, then settle: the temperature field](convection.gif)
