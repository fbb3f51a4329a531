"""The method, one file for each step: teacher, projection head, losses, memory, keys, pool."""
