"""``import moorage.blocking``: the module :mod:`moorage.kernel.blocking`, under the name that users know."""

import sys

from moorage.kernel import blocking
from moorage.kernel.blocking import AttachedKernel, Kernel, attach, launch

__all__ = ["AttachedKernel", "Kernel", "attach", "launch"]

# The very same module, so that its names are one thing however they are reached.
sys.modules[__name__] = blocking
