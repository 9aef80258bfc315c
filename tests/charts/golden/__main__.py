from __future__ import annotations

from tests.charts.chart import PROFILES
from tests.charts.golden import path, rendered

for profile in PROFILES:
    path(profile).write_text(rendered(profile))
    print(path(profile))
