# # Heat in a rod
#
# A light script without a header: comment blocks are prose, blank lines end cells.

import math

# + tags=["parameters"]
steps = 10
width = 1.0

# + [markdown] tags=["exercise"]
# Change `steps` and run again.

# + tags=["active-ipynb"]
# %matplotlib inline
# print("only in notebooks", steps)

# + tags=["active-py"]
print("only in the script")

# + tags=["raises-exception"]
raise ValueError("on purpose")

# +
x = [math.sin(i / steps) for i in range(steps)]

y = sum(x)
# -

print(y)
