"""The networks: one encoder and decoder for every body, and the heads on top."""
