"""Offline datasets: episodes on disk, how they are recorded, imported and checked."""
