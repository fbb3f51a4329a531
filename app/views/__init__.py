"""The pages: a file each, with its state, its layout and what answers its events."""
