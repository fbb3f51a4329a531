/* Buttons that label, skip and undo; a key of the keyboard presses each. A press names the text that it was made beside, so
   that a second one does not label the next text unread. */
const press = button => {
  const {row} = element.querySelector('[data-row]').dataset, {choice, label} = button.dataset;
  if (!button.disabled) trigger('choose', {row: Number(row), choice, label});
};
element.addEventListener('click', event => {
  const button = event.target.closest('[data-choice]');
  if (button) press(button);
});
document.addEventListener('keydown', function listen(event) {
  if (!element.isConnected) { document.removeEventListener('keydown', listen); return; }
  const types = event.target.closest('input, textarea, select, [contenteditable]');
  if (types || event.repeat || event.ctrlKey || event.metaKey || event.altKey || !element.offsetParent) return;
  const button = element.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (button) press(button);
});
