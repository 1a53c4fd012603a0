"""How hard the laws are tried: `ci` in seconds and the same every time, `nightly` longer and with new examples.

The profile is chosen by HYPOTHESIS_PROFILE in the environment. A law names its effort in `ci`; `nightly` multiplies it.
"""

import os

from hypothesis import HealthCheck, Phase, settings

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
SCALES = {"ci": 1, "nightly": 20}
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "ci")
SCALE = SCALES.get(PROFILE, 1)


def effort(examples: int, *, steps: int = 50) -> settings:
    """Settings of a law that is tried on so many examples in `ci`; `steps`: of a state machine, in each."""
    nightly = PROFILE == "nightly"
    return settings(
        max_examples=examples * SCALE,
        stateful_step_count=steps,
        derandomize=not nightly,
        database=None,
        deadline=None,
        print_blob=nightly,
        suppress_health_check=SLOW,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )
