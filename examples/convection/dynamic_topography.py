# # Dynamic topography
#
# A convecting mantle lifts and lowers the surface above it: by a kilometre or so, without any
# mountain building. This example reads the steady state which
# [the convection example](convection.ipynb) left behind in `Final_State.npz` and asks what
# shape the surface would take. moorage runs it after the other one, because the configuration says so.

# +
import numpy as np

state = np.load("Final_State.npz")
x, z, k, l = (state[name] for name in "xzkl")
psi, T, Ra = state["psi"], state["T"], float(state["Ra"])

print(f"Ra = {Ra:,.0f}, grid {T.shape[0]} x {T.shape[1]}, time {float(state['t']):.3f}")
# -

# ## From flow to stress
#
# The weight of the topography balances the normal stress at the top of the box: rock rises until
#
# $$ \rho g\, h = -\sigma_{zz} = p - 2\,\frac{\partial w}{\partial z}. $$
#
# The pressure follows from the horizontal momentum equation
# $\partial p/\partial x = \nabla^2 u$. With the stream function known as a sum of
# $\hat\psi_{mn} \sin k_m x \sin l_n z$, both terms are sums of cosines:
#
# $$ p = \sum_{m>0,n} \frac{(k_m^2 + l_n^2)\, l_n}{k_m}\, \hat\psi_{mn} \cos k_m x \cos l_n z,
#    \qquad
#    \frac{\partial w}{\partial z} = -\sum_{m,n} k_m l_n\, \hat\psi_{mn} \cos k_m x \cos l_n z . $$


# +
def push(height):
    """Upward push along a horizontal line: minus the normal stress, its mean taken away."""
    K, L = k[1:, None], l[None, :]
    along_z = np.cos(l * height)
    pressure = ((K**2 + L**2) * L / K * psi[1:]) @ along_z
    stretching = -(K * L * psi[1:]) @ along_z
    return np.cos(np.outer(x, k[1:])) @ (pressure - 2 * stretching)


stress = push(1.0)
# -

# ## In metres
#
# For the Earth-like numbers of the benchmark (depth 1000 km, density 4000 kg m⁻³, $g$ = 10 m s⁻²,
# $\kappa$ = 10⁻⁶ m² s⁻¹, and a viscosity of 10²² Pa s at $\mathrm{Ra}=10^5$), a stress of one means
# $\eta\kappa / (\rho g d^2)$ = 0.25 m of topography.

# +
viscosity = 1e27 / Ra  # Pa s
metres = viscosity * 1e-6 / (4000 * 10 * 1e6**2)
topography = stress * metres

print(f"above the rising plume   {topography[0]:+8.1f} m   (benchmark  +1461.0 m)")
print(f"above the sinking plume  {topography[len(x) // 2]:+8.1f} m   (benchmark  -2004.2 m)")
# -

# ## The surface and what moves it

# + tags=["active-ipynb"]
# import matplotlib.pyplot as plt
#
# plt.style.use("../look.mplstyle")
#
# fig, (above, below) = plt.subplots(2, 1, figsize=(7, 4.9), sharex=True, height_ratios=[1, 1.75])
# above.fill_between(1000 * x, topography, 0, where=topography >= 0, color="C1", alpha=0.25, lw=0)
# above.fill_between(1000 * x, topography, 0, where=topography < 0, color="C0", alpha=0.25, lw=0)
# above.plot(1000 * x, topography, color="0.2", lw=1.6)
# above.axhline(0, color="0.55", lw=0.8)
# above.set(ylabel="height [m]", title="Dynamic topography")
# above.margins(x=0)
#
# below.contourf(1000 * x, 1000 * (1 - z), T.T, levels=np.linspace(0, 1, 41), cmap="inferno")
# below.invert_yaxis()
# below.set(xlabel="distance [km]", ylabel="depth [km]")
# below.set_title("Temperature in the mantle below", fontsize=9.5, fontweight="normal")
# below.spines[:].set_visible(False)
# plt.show()
# -

# ## Pressure or stretching?
#
# Pressure pushes the surface up over rising rock, and so does the viscous term
# $-2\,\partial w/\partial z$: a plume which arrives at the surface has to slow down.

# + tags=["active-ipynb"]
# K, L = k[1:, None], l[None, :]
# modes = np.cos(np.outer(x, k[1:]))
# parts = {
#     "pressure": modes @ ((K**2 + L**2) * L / K * psi[1:]) @ np.cos(l),
#     "stretching": 2 * modes @ (K * L * psi[1:]) @ np.cos(l),
# }
#
# fig, ax = plt.subplots(figsize=(7, 3))
# for (name, part), colour in zip(parts.items(), ["C3", "C2"]):
#     ax.plot(1000 * x, part * metres, color=colour, label=name)
# ax.plot(1000 * x, topography, color="0.2", lw=1.2, ls=(0, (4, 2)), label="sum")
# ax.set(xlabel="distance [km]", ylabel="height [m]", title="What lifts the surface")
# ax.margins(x=0)
# ax.legend(loc="upper center")
# plt.show()
# -
