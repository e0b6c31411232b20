"""Reports: figures of runs, datasets, experts and robots, and the HTML page of a run."""
