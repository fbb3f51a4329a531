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
const sortBy = column => {
  sorted = {column, down: sorted?.column === column && !sorted.down};
  sortRows();
};
const sortRows = () => {
  if (!sorted) return;
  const words = row => row.cells[sorted.column]?.textContent ?? '';
  for (const head of element.querySelectorAll('thead th')) head.removeAttribute('aria-sort');
  element.querySelectorAll('thead th')[sorted.column]?.setAttribute('aria-sort', sorted.down ? 'descending' : 'ascending');
  for (const body of element.querySelectorAll('tbody')) {
    const rows = [...body.rows].toSorted((a, b) => words(a).localeCompare(words(b), undefined, {numeric: true}));
    body.append(...(sorted.down ? rows.toReversed() : rows));
  }
};
watch('value', () => setTimeout(sortRows));
