"""An ordinary module."""

# A sum is written with a plus:
# + adds what stands left and right.
TOTAL = 1 + 2
