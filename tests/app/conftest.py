"""The app is a folder of scripts: its modules are found beside main.py."""

import sys
from pathlib import Path

APP = Path(__file__).parents[2] / "app"
if str(APP) not in sys.path:
    sys.path.insert(0, str(APP))
