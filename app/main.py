"""Starts the app: ``python app/main.py``. Where the library is installed, ``reaugkd app`` does the same."""

import sys
from pathlib import Path

if __name__ == "__main__":
    root = Path(__file__).parents[1]
    sys.path[0] = str(root)  # the folder in which ``app`` is a package

    from app.serve import main

    sys.exit(main(default=root / "runs" / "shoptalk"))
