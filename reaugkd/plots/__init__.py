"""What notebooks and the app share: figures, tables, links."""
