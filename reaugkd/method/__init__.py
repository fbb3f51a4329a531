"""The method, a step a file: teacher, projection head, losses, memory, keys, pool."""
