"""What a post costs: ``make bench``; CPU time and ratios of one run, never a bare wall time."""
