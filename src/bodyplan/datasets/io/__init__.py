"""Imports into datasets and exports from them: own logs, the paper's release, Minari."""
