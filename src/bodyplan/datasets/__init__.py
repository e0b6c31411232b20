"""What is learned from: episodes on disk, the experts behind them, and their mixtures."""
