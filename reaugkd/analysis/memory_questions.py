"""The questions of a memory audit; a file of their own, since the page needs them before torch is imported."""

ALL, SUSPICIOUS, DUPLICATES, LEAKS = "all", "suspicious", "near-duplicates", "leaks of the test rows"
SHOWS = (ALL, SUSPICIOUS, "harmful", "most used", "never used", "edited", DUPLICATES, LEAKS)
"""The questions, in the order in which a page lists them."""
UNJUDGED = (ALL, "edited", DUPLICATES)
"""Those of them that need no answers to test rows."""
