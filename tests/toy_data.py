"""Rows of the toy task: three classes told apart by their words."""

import numpy as np
import pandas as pd

CLASS_WORDS = {
    "fruit": ["apple", "pear", "plum", "cherry", "grape", "melon", "lemon", "peach"],
    "metal": ["iron", "copper", "silver", "zinc", "nickel", "brass", "steel", "tin"],
    "weather": ["rain", "snow", "storm", "cloud", "thunder", "breeze", "frost", "fog"],
}
FILLER = ["the", "a", "some", "today", "we", "saw", "old", "new", "and", "with", "of", "very", "there", "was"]
TOPICS = ["home", "work"]


def toy_rows(rows_a_class, seed):
    """Rows of 3 to 6 words: 2 or 3 of the class, the others of no class; every second row has another topic."""
    random = np.random.default_rng(seed)
    rows = []
    for label, words in CLASS_WORDS.items():
        for number in range(rows_a_class):
            chosen = [*random.choice(words, random.integers(2, 4)), *random.choice(FILLER, random.integers(1, 4))]
            random.shuffle(chosen)
            rows.append({"text": " ".join(chosen), "label": label, "topic": TOPICS[number % 2]})
    return pd.DataFrame(rows)
