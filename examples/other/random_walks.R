# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .R
#       format_name: percent
#   kernelspec:
#     display_name: R
#     language: R
#     name: ir
# ---

# %% [markdown]
# # Random walks, in R
#
# Two hundred walkers leave the origin and toss a coin for each step. After $n$ steps a walker is about
# $\sqrt n$ away, to the left or to the right. This document is rendered where an R kernel is installed
# (`IRkernel::installspec()`), and skipped elsewhere.

# %%
options(repr.plot.width = 7, repr.plot.height = 4, repr.plot.res = 110)
set.seed(42)

steps <- 400
walks <- apply(matrix(sample(c(-1, 1), 200 * steps, replace = TRUE), steps), 2, cumsum)

# %%
par(bg = "#fbfaf7", mar = c(4, 4, 2.5, 1), las = 1, col.axis = "#5d636c", fg = "#8a8f98", col.lab = "#3a3f47")
matplot(walks, type = "l", lty = 1, lwd = 0.6, col = hcl(h = seq(210, 300, length.out = 200), c = 55, l = 60, alpha = 0.35),
        xlab = "steps", ylab = "distance", frame.plot = FALSE, main = "Two hundred random walks")
n <- seq_len(steps)
lines(n, sqrt(n), lwd = 2, col = "#d1603d")
lines(n, -sqrt(n), lwd = 2, col = "#d1603d")

# %% [markdown]
# ## Where they are in the end

# %%
final <- walks[steps, ]
summary(final)

# %%
data.frame(
  spread = c("measured", "expected"),
  sd = c(round(sd(final), 2), sqrt(steps))
)
