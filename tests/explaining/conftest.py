"""One thread, a cache that is thrown away, and no long self-test."""

from __future__ import annotations

from training.quickly import no_long_self_test as no_long_self_test
from training.quickly import one_thread as one_thread
