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
# # Foxes and hares
#
# The numbers of hares $h$ and foxes $f$ chase each other through the years:
#
# $$ \dot h = \alpha h - \beta h f, \qquad \dot f = \delta h f - \gamma f . $$
#
# This notebook takes parameters. Render it with other ones by, for instance,
#
# ```console
# $ moorage render examples/ecology/predator_prey.py --param hares=40 --param years=60
# ```

# %% tags=["parameters"]
hares = 30.0  # thousands, at the start
foxes = 4.0
alpha, beta = 0.55, 0.028
gamma, delta = 0.84, 0.026
years = 40

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import solve_ivp

plt.style.use("../look.mplstyle")


def chase(t, state):
    h, f = state
    return h * (alpha - beta * f), f * (delta * h - gamma)


t = np.linspace(0, years, 6000)
h, f = solve_ivp(chase, (0, years), (hares, foxes), t_eval=t, rtol=1e-9, atol=1e-9).y

# %% [markdown]
# ## Year by year
#
# Foxes follow hares, a quarter of a turn behind.

# %%
fig, ax = plt.subplots(figsize=(7, 3.2))
for series, name, colour in [(h, "hares", "C2"), (f, "foxes", "C1")]:
    ax.plot(t, series, color=colour, label=name)
    ax.fill_between(t, series, color=colour, alpha=0.12, lw=0)
ax.set(xlim=(0, years), ylim=(0, 1.15 * max(h.max(), f.max())), xlabel="year", ylabel="thousands", title="Foxes follow hares")
ax.legend(ncols=2, loc="upper right")
plt.show()

# %% [markdown]
# ## Round and round
#
# In the plane of both numbers each history is a closed curve, a contour of the quantity
#
# $$ V = \delta h - \gamma \ln h + \beta f - \alpha \ln f, $$
#
# which never changes. The dot is the only balance there is, $(\gamma/\delta,\ \alpha/\beta)$.

# %%
def conserved(h, f):
    return delta * h - gamma * np.log(h) + beta * f - alpha * np.log(f)


grid_h, grid_f = np.meshgrid(np.linspace(0.5, 1.12 * h.max(), 300), np.linspace(0.5, 1.15 * f.max(), 300))
V = conserved(grid_h, grid_f)

fig, ax = plt.subplots(figsize=(7, 4))
levels = V.min() + (conserved(hares, foxes) - V.min()) * np.array([0.02, 0.12, 0.3, 0.6, 1.45, 2.0])
ax.contour(grid_h, grid_f, V, levels=np.sort(levels), colors="0.78", linewidths=0.9, linestyles="-")
speed = np.hypot(*chase(0, (h, f)))
ax.scatter(h, f, c=speed, cmap="viridis", s=5, lw=0)
ax.plot(gamma / delta, alpha / beta, "o", color="C1", ms=6)
ax.plot(hares, foxes, "o", color="0.25", ms=5)
ax.annotate("start", (hares, foxes), xytext=(6, -9), textcoords="offset points", fontsize=8.5)
ax.set(xlabel="hares [thousands]", ylabel="foxes [thousands]", title="A closed curve for every start")
plt.show()

# %%
drift = np.ptp(conserved(h, f)) / abs(conserved(hares, foxes))
print(f"V is kept to {drift:.0e} over {years} years")
