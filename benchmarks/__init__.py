"""What a check costs: programs for engineers, run by hand."""
