"""One thread and one seed, put back afterwards."""

from calm import calm as calm
