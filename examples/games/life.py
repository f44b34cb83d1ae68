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
# # The game of life
#
# Each cell of a grid is alive or dead. A live cell with two or three live neighbours stays alive, a dead
# one with exactly three is born, all others are dead in the next generation. John Conway's rule from 1970
# is enough for gliders, guns and whole computers.

# %%
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from scipy.ndimage import convolve

plt.style.use("../look.mplstyle")

neighbours = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=np.uint8)


def generation(alive):
    """The next generation, on a torus."""
    count = convolve(alive, neighbours, mode="wrap")
    return ((count == 3) | ((alive == 1) & (count == 2))).astype(np.uint8)


# %% [markdown]
# ## A primordial soup
#
# A random third of the cells is alive at first. A cell that dies leaves a trace which fades, so that a
# still picture shows where life has been.

# %%
rng = np.random.default_rng(1970)
alive = (rng.random((120, 210)) < 0.33).astype(np.uint8)
trace = np.zeros(alive.shape)
population = []
for _ in range(500):
    trace = np.maximum(0.97 * trace, alive)
    population.append(alive.mean())
    alive = generation(alive)

glow = LinearSegmentedColormap.from_list("glow", ["#10141c", "#1f4a63", "#3fa796", "#f6ffe8"])
fig, ax = plt.subplots(figsize=(7, 4), facecolor="#10141c", layout="none")
ax.set_position([0, 0, 1, 1])
ax.imshow(np.where(alive == 1, 1.0, 0.6 * trace), cmap=glow, interpolation="nearest")
ax.axis("off")
plt.show()

# %% [markdown]
# ## Settling down
#
# The soup loses most of its life quickly, then ever more slowly: the density decays towards about three
# in a hundred, the share of the debris of blocks, blinkers and boats.

# %%
fig, ax = plt.subplots(figsize=(7, 2.8))
ax.plot(np.arange(1, 501), 100 * np.array(population), color="C2")
ax.axhline(2.87, color="0.5", lw=1, ls=(0, (4, 3)))
ax.annotate("ash, 2.9 %", (500, 2.87), xytext=(0, -12), textcoords="offset points", ha="right", fontsize=8.5)
ax.set(xlabel="generation", ylabel="alive [%]", title="The soup cools", xlim=(0, 500), ylim=(0, 35))
plt.show()

# %% [markdown]
# ## A gun
#
# Bill Gosper's gun fires a glider every 30 generations. It is written here in the run-length code in which
# patterns of this game are exchanged: `b` for dead, `o` for alive, `$` for the next line.

# %%
import re

gun = "24bo$22bobo$12b2o6b2o12b2o$11bo3bo4b2o12b2o$2o8bo5bo3b2o$2o8bo3bob2o4bobo$10bo5bo7bo$11bo3bo$12b2o!"


def decode(pattern, shape, top, left):
    board = np.zeros(shape, dtype=np.uint8)
    row, column = top, left
    for number, letter in re.findall(r"(\d*)([bo$])", pattern):
        number = int(number or 1)
        if letter == "$":
            row, column = row + number, left
        else:
            board[row, column : column + number] = letter == "o"
            column += number
    return board


board = decode(gun, (160, 190), 4, 4)  # room enough: nothing comes back around the torus while we look
history = []
for step in range(420):
    board = generation(board)
    if step >= 360:
        history.append(board[:64, :90])
print("repeats itself after 30 generations:", np.array_equal(history[0], history[30]))

# %% [markdown]
# Two periods of it, as an animation that repeats for ever: `life.gif`.

# %%
from PIL import Image

palette = [(16, 20, 28), (38, 62, 92), (120, 220, 190)]


def picture(now, before):
    cells = np.where(now == 1, 2, np.where(before == 1, 1, 0)).astype(np.uint8)
    image = Image.fromarray(np.kron(cells, np.ones((6, 6), dtype=np.uint8)))
    image.putpalette([channel for colour in palette for channel in colour])
    return image


frames = [picture(now, before) for now, before in zip(history, [history[-1], *history])]
frames[0].save("life.gif", save_all=True, append_images=frames[1:], duration=60, loop=0)

# %% [markdown]
# ![Gosper's glider gun at work](life.gif)
