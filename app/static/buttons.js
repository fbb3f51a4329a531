/* Buttons and menus in the HTML of a component say what they mean in their data; one listener serves all that come later. */
const within = (event, name) => event.target.closest(`[data-${name}]`)?.dataset;
element.addEventListener('click', event => {
  const [picked, struck, dropped] = ['pick', 'strike', 'drop'].map(name => within(event, name));
  if (picked) trigger('select', {pick: picked.pick});
  if (struck) trigger('strike', {number: Number(struck.strike)});
  if (dropped) trigger('drop', {number: Number(dropped.drop)});
  if (within(event, 'sort')) sortBy(event.target.closest('th').cellIndex);
});
element.addEventListener('change', event => {
  const menu = within(event, 'relabel');
  if (menu) trigger('relabel', {number: Number(menu.relabel), label: event.target.value});
});
/* A click on a header sorts by its column, one more the other way; the table that comes next keeps it. */
let sorted = null;
const sort = () => { if (sorted) sortRows(element, sorted.column, sorted.down); };
const sortBy = column => { sorted = {column, down: sorted?.column === column && !sorted.down}; sort(); };
watch('value', () => setTimeout(sort));
