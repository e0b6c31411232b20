"""How experts learn to walk: PPO, its curriculum, and the snapshots that it leaves."""
