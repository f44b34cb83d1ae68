# %% [markdown]
# # Percent cells

# %% tags=["parameters"]
n = 3

# %%
print("é" * n)

# %% language="bash"
# ls
