"""How it is learned: networks, algorithms, combiners and the one training loop."""
