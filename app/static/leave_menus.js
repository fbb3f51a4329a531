/* A menu that is left by the Tab key closes. Gradio's listener waits, and would open it again after it was closed. */
export default function leaveMenus() {
  document.addEventListener('keydown', event => {
    if (event.key === 'Tab' && event.target.matches('[role=combobox]')) event.stopPropagation();
  }, true);
}
