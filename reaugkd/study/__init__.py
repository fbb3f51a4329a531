"""A study: plan, run, score, report."""
