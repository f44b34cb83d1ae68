# # A Julia script

# + tags=["parameters"]
n = 3

# +
println(n)
