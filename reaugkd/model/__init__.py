"""A trained model: how it answers, explains, lies on disk and is scored."""
