"""What all tests share: where the data of the workshop stands, and how long hypothesis may look."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Before torch is imported, here and in processes that tests start: a team of threads beside other work waits for its
# slowest at every product, and small networks gain nothing from one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A law is tried on the same examples again where nobody watches, and on new ones at a desk.
settings.register_profile(
    "seqvae",
    deadline=None,
    max_examples=50,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("seqvae")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of shared music and texts beside the checkout; a test that needs it is skipped without."""
    folder = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared data does not stand beside this checkout")
    return folder
