/* Buttons and menus in the HTML of a component say what they mean in their data; one listener serves all that come later. */
const within = (event, name) => event.target.closest(`[data-${name}]`)?.dataset;
element.addEventListener('click', event => {
  const [picked, struck, dropped] = ['pick', 'strike', 'drop'].map(name => within(event, name));
  if (picked) trigger('select', {pick: picked.pick});
  if (struck) trigger('strike', {number: Number(struck.strike)});
  if (dropped) trigger('drop', {number: Number(dropped.drop)});
});
element.addEventListener('change', event => {
  const menu = within(event, 'relabel');
  if (menu) trigger('relabel', {number: Number(menu.relabel), label: event.target.value});
});
