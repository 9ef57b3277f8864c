"""Training runs compared: trials, their results as one table, intervals, the claims' ledger."""
