"""The paper's experiments: many runs, one table, one figure."""
