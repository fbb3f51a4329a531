"""The questions of a memory audit; a file of their own, since the page needs them before torch is imported."""

ALL, WRONG, HARMFUL = "all", "label looks wrong", "does harm"
DUPLICATES, LEAKS = "near-duplicates", "leaks of the test rows"
SHOWS = (WRONG, HARMFUL, "most used", "never used", "edited", DUPLICATES, LEAKS, ALL)
"""The questions, in the order in which a page lists them."""
UNJUDGED = (ALL, "edited", DUPLICATES)
"""Those of them that need no answers to test rows."""
COUNTED = (WRONG, HARMFUL, "never used", "edited", ALL)
"""Those that one table of all memories answers, so that their rows can be counted before one looks."""
SORTED_BY = {
    WRONG: ("doubt", False),
    HARMFUL: ("gain", True),
    "most used": ("weight", False),
    **dict.fromkeys((DUPLICATES, LEAKS), ("overlap", False)),
    **dict.fromkeys(("never used", "edited", ALL), ("number", True)),
}
"""By question, the column that its list is sorted by, and whether the lowest value comes first."""
REASONS = {
    WRONG: ("suggested", "doubt", "by_text", "by_encoder", "by_embedding"),
    HARMFUL: ("gain", "p_of_harm", "lowers", "raises"),
    "most used": ("weight", "retrieved", "gain"),
    "never used": (),
    "edited": ("edited",),
    ALL: ("doubt", "gain", "retrieved"),
}
"""By question, the columns that say why a memory is listed."""
