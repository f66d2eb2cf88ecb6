"""Why a network learns or does not: findings with a code, evidence and the command to try.  No torch."""
