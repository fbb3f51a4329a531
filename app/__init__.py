"""The Gradio app, which is the package ``reaugkd.app`` where it is installed."""
