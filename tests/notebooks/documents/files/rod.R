# %%
n <- 3

# %% [markdown]
# Prose.
