"""Why a model answers what it does, and how to fix it: errors, comparison, the memory and its edits."""
