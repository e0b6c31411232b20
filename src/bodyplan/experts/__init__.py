"""Training of experts: PPO, its curriculum and assistance, and the policy snapshots it keeps."""
