"""The blocking interface under its public name."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "how",
    [
        "import moorage.blocking; found = moorage.blocking",
        "from moorage import blocking as found",
        "import moorage; found = moorage.blocking",
        "import moorage.blocking as found",
        "from moorage.blocking import launch; import moorage.blocking as found; assert launch",
    ],
)
def test_it_is_one_module_however_it_is_imported(how):
    check = "import moorage.kernel.blocking as own; assert found is own"
    subprocess.run([sys.executable, "-c", f"{how}; {check}"], check=True, timeout=60)
