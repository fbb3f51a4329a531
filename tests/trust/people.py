"""People who use the app at once: they ask, read for some seconds, and ask again; each answer is compared."""

import json
import random
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

READ = 1.0, 5.0  # seconds
TOLERANCE = 2e-6  # what programs are sent is rounded to six digits


def same(found, expected):
    """Tell whether two answers, as programs get them, are the same up to rounding."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[name], expected[name]) for name in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    return abs(found - expected) <= TOLERANCE if isinstance(expected, float) else found == expected


@dataclass
class Crowd:
    """What people at one address asked, how long each answer took, and what went wrong."""

    address: str
    questions: list  # (endpoint, arguments, what the library answers)
    seconds: list = field(default_factory=list)
    errors: list = field(default_factory=list)
    wrong: list = field(default_factory=list)

    def _answer(self, client, endpoint, arguments):
        """Ask as Gradio's own client does, which takes more of the processor than the server."""
        event = client.post(f"gradio_api/call/v2{endpoint}", json=arguments).raise_for_status().json()["event_id"]
        *_, said, found = client.get(f"gradio_api/call{endpoint}/{event}").raise_for_status().text.strip().splitlines()
        assert said == "event: complete", f"{said}: {found}"
        return json.loads(found.removeprefix("data: "))[0]

    def wait_until_answered(self):
        """Wait until the server has loaded its model."""
        endpoint, arguments, _ = self.questions[0]
        with httpx.Client(base_url=self.address, timeout=120) as client:
            for _ in range(120):
                with suppress(AssertionError):
                    self._answer(client, endpoint, arguments)
                    return
                time.sleep(0.5)
        raise AssertionError("The server does not load its model.")

    def _ask(self, number, end, read):
        draw = random.Random(number)
        time.sleep(draw.uniform(0, read[1]))  # they do not all come at once
        with httpx.Client(base_url=self.address, timeout=120) as client:
            while time.monotonic() < end:
                endpoint, arguments, expected = draw.choice(self.questions)
                start = time.monotonic()
                try:
                    found = self._answer(client, endpoint, arguments)
                except Exception as error:
                    self.errors.append(f"{endpoint}: {error!r}")
                    continue
                self.seconds.append(time.monotonic() - start)
                if not same(found, expected):
                    self.wrong.append((endpoint, arguments, found))
                time.sleep(draw.uniform(*read))

    def use(self, people, seconds, meanwhile=lambda end: None, read=READ):
        """Let so many people ask for so long, and do something meanwhile."""
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=self._ask, args=(number, end, read)) for number in range(people)]
        for thread in threads:
            thread.start()
        try:
            meanwhile(end)
        finally:
            for thread in threads:
                thread.join()
