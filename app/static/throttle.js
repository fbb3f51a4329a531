/* Press a hidden button soon, once for all changes until then. */
export default function throttle({button, milliseconds}) {
  window.clocks ??= {};
  window.clocks[button] ??= setTimeout(() => {
    delete window.clocks[button];
    document.querySelector(`#${button}`)?.click();
  }, milliseconds);
}
