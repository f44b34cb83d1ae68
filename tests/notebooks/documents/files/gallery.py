r"""
Waves on a string
=================

A script of a gallery.
"""

import math

# %%
# Prose in :math:`RST`.
# More of it.

x = math.pi

# %%

y = 2 * x
