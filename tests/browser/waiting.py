"""Waits for what a page's own script returns."""

WAIT_MS = 60_000


def expect_result(page, script, wanted, argument=None):
    """Wait until a script returns a value; a failure shows what it returned instead.

    Playwright's own ``wait_for_function`` says only that time is up, and takes a promise as an answer.
    """
    asked = f"""async ([argument, wanted, until]) => {{
      for (;;) {{
        const found = await ({script})(argument);
        if (JSON.stringify(found) === JSON.stringify(wanted) || performance.now() > until) return found;
        await new Promise(done => setTimeout(done, 50));
      }}
    }}"""
    until = page.evaluate("performance.now()") + WAIT_MS
    found = page.evaluate(asked, [argument, wanted, until])
    assert found == wanted, f"The page has\n{found}\n\nand not\n{wanted}"


def type_into_opened(page, box, text):
    """Type into a box of a form that was opened just now, until it stays: Gradio empties a box that it draws."""
    for _ in range(10):
        page.locator(box).fill(text)
        page.wait_for_timeout(500)  # nothing says that it is drawn
        if page.locator(box).input_value() == text:
            return
    raise AssertionError(f"{box} does not keep {text!r}.")
