/* Rows of a list: a click or the arrows open one. With ticks, boxes choose several, keys edit, and what is
   chosen outlives a new drawing. */
const LATE = 10_000;
const edits = {
  relabel: data => trigger('relabel', data), remove: data => trigger('remove', data), undo: data => trigger('undo', data),
};
const waiting = [];  // an edit builds on the one before, which the list, drawn anew, shows
let sent = 0;
let open = null;
const ticked = new Set();
const rows = () => [...element.querySelectorAll('tr[data-row]')];
const numberOf = row => Number(row.dataset.row);
const chosen = () => ticked.size ? [...ticked] : open === null ? [] : [open];

function mark() {
  for (const row of rows()) {
    row.classList.toggle('open', numberOf(row) === open);
    if (props.ticks) row.querySelector('input').checked = ticked.has(numberOf(row));
  }
}
function choose() {
  mark();
  trigger('choose', {rows: chosen()});
}
function tick(number) {
  if (!ticked.delete(number)) ticked.add(number);
  choose();
}
function move(step) {
  const listed = rows(), place = listed.findIndex(row => numberOf(row) === open);
  const next = listed[Math.max(0, Math.min(listed.length - 1, place + step))];
  if (!next) return;
  open = numberOf(next);
  next.scrollIntoView({block: 'nearest'});
  choose();
}
function send(kind, data) {
  if (kind) waiting.push([kind, data]);
  if (!waiting.length || Date.now() - sent < LATE) return;
  sent = Date.now();
  const [next, of] = waiting.shift();
  edits[next](of);
}
/* After an edit by a key the next row is open, and no row is ticked any more. */
function edited() {
  if (ticked.size) {
    ticked.clear();
    choose();
  } else {
    move(1);
  }
}
/* A list may be longer than what is shown of it: then the server sorts. */
function sort(header) {
  const head = header.closest('th');
  if (props.sorts) trigger('sort', {column: header.dataset.sort});
  else sortRows(element, head.cellIndex, head.getAttribute('aria-sort') === 'ascending');
}

element.tabIndex = 0;
element.addEventListener('click', ({target}) => {
  const header = target.closest('[data-sort]'), row = target.closest('tr[data-row]');
  if (header) sort(header);
  if (target.matches('[data-all]')) {
    ticked.clear();
    if (target.checked) rows().forEach(one => ticked.add(numberOf(one)));
    choose();
  } else if (row && target.matches('input')) {
    tick(numberOf(row));
  } else if (row) {
    open = numberOf(row);
    choose();
  }
  if (row) element.focus({preventScroll: true});
});
element.addEventListener('keydown', event => {
  if (event.target !== element || event.ctrlKey || event.metaKey || event.altKey) return;
  const {key} = event, among = chosen();
  if (key === 'ArrowDown' || key === 'ArrowUp') move(key === 'ArrowDown' ? 1 : -1);
  else if (!props.ticks) return;
  else if (key === ' ' && open !== null) tick(open);
  else if (key === 'u') send('undo', {});
  else if (/^[1-9]$/.test(key) && among.length) {
    send('relabel', {rows: among, label: Number(key) - 1});
    edited();
  } else if (key === 'Delete' && among.length) {
    send('remove', {rows: among});
    edited();
  } else return;
  event.preventDefault();
});
watch('value', () => {
  const listed = new Set(rows().map(numberOf)), before = chosen().join();
  if (!props.ticks || !listed.has(open)) open = null;
  for (const number of ticked) if (!listed.has(number)) ticked.delete(number);
  mark();
  sent = 0;
  send();
  if (props.ticks && chosen().join() !== before) trigger('choose', {rows: chosen()});
});
