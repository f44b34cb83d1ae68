# %%
%matplotlib inline
a = 1

# %%
%%time
a + 1
