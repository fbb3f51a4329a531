/* Two maps on one canvas, teacher's and student's space on the same axes, or one of them where the page has little
   room. Points come once from server.points, then only colours, numbers of points and small commands go to and fro.
   Data is drawn or set as textContent, never as HTML. */
const HIT = 9;  // pixels
const state = {
  model: null, count: 0, at: null, moved: null, codes: null, legend: [], named: null, kinds: null, guessed: null, shown: 'all',
  selected: new Set(), found: null, order: null, hovered: -1, opened: -1, near: [], query: null, key: '', limits: {},
  morph: 0, lines: false, zoom: 1, centre: [0, 0], low: [0, 0], high: [1, 1], lasso: null, asked: 0, ready: false,
  waiting: {}, maps: null, epochs: null, epoch: null, side: 0, one: false,  // epoch: null on the maps, else a number from 0
};
const find = name => element.querySelector(`[data-map="${name}"]`);
const on = (name, event, answer) => find(name)?.addEventListener(event, answer);
const canvas = find('canvas'), shade = find('shade'), tip = find('tip'), status = find('status'), place = find('place');
const context = canvas.getContext('2d');
const base = document.createElement('canvas');
const texts = new Map(), grids = new Map();

const bytes = (text, Type) => new Type(Uint8Array.from(atob(text), letter => letter.charCodeAt(0)).buffer);
/* In pixels: they are larger in a lecture. */
const lettersOf = part => parseFloat(getComputedStyle(part).fontSize);
const css = name => getComputedStyle(element).getPropertyValue(name).trim();
const plane = mapPlane(state, place, props.small, () => { leave(); draw(); });
const {panels, size, panelAt, placesOf, placeOf, scaleOf, project, unproject, zoomMiddle} = plane;
const drawn = mapPoints(state, plane, props.small, css), {isShown, order, radius} = drawn;
const islands = mapIslands(state, plane, isShown, find('names'), context);
const marks = mapMarks(state, plane, radius, context, css);
const replay = mapReplay(state, find, {bytes, press, leave, redraw, fit: plane.fit});
let wanted = 0;
const stale = new Set();
/* Draw what is marked, and the points of those panels in which they moved or have another colour. */
function draw(of = panels()) {
  for (const panel of of) stale.add(panel);
  cancelAnimationFrame(wanted);
  wanted = requestAnimationFrame(paint);
}
/* Other points are shown or lit, or they have other colours or places. */
function redraw() { state.order = state.moved = null; islands.forget(); draw(); }
function paint() {
  if (!state.at || !state.codes || !place.clientWidth) return;
  const box = size(), ratio = window.devicePixelRatio || 1, wide = Math.round(box.width * ratio), high = Math.round(box.all * ratio);
  if (canvas.width !== wide || canvas.height !== high) {
    for (const one of [base, canvas, shade]) { one.width = wide; one.height = high; one.style.height = box.all + 'px'; }
    for (const panel of panels()) stale.add(panel);
  }
  const below = shade.getContext('2d'), points = base.getContext('2d');
  if (stale.size) {
    below.setTransform(ratio, 0, 0, ratio, 0, 0); points.setTransform(ratio, 0, 0, ratio, 0, 0);
    points.font = `600 ${lettersOf(canvas)}px system-ui, sans-serif`;
    below.clearRect(0, 0, box.width, box.all);
    for (const panel of panels()) islands.drawShade(panel, box, below);
    for (const panel of panels()) if (stale.has(panel)) drawn.drawPoints(points, panel, box);
    islands.drawNames(box, lettersOf(find('names')));
    stale.clear();
  }
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(base, 0, 0);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  marks.drawMarks(box);
  tell();
}
/* What tests and screen readers can see of a canvas. */
function tell() {
  const found = marks.starred();
  Object.assign(canvas.dataset, {
    points: state.count, model: state.model, selected: state.selected.size, hovered: state.hovered, opened: state.opened,
    near: state.opened < 0 && found ? found.neighbours.length : state.near.length, column: state.column,
    query: found ? found.places.flat().map(value => value.toFixed(3)).join(' ') : '', far: found ? marks.isFar(found) : '',
    morph: state.morph, shown: state.shown, found: state.found ? state.found.size : '', side: state.side,
    zoom: state.zoom.toFixed(3), epoch: state.epoch === null ? '' : state.epoch,
  });
  canvas.setAttribute('aria-label', `${props.small ? 'Map' : 'Maps'} of ${state.count} points, ${state.selected.size} selected. `
    + 'Arrow keys go through the points, Enter opens one, Escape clears the selection, plus and minus zoom.');
}
async function load(model) {
  replay.stopPlaying();
  Object.assign(state, {model, ready: false, codes: null, at: null, shown: 'all', key: ''});
  context.setTransform(1, 0, 0, 1, 0, 0); context.clearRect(0, 0, canvas.width, canvas.height);
  const said = await server.points({model});
  if (state.model !== model) return;
  state.words = said.error || (props.small ? said.short : said.words);
  status.textContent = state.words;
  place.hidden = Boolean(said.error);
  if (said.error) return;
  texts.clear();
  state.maps = [bytes(said.teacher, Float32Array), bytes(said.student, Float32Array)];
  state.one = said.one;
  for (const name of ['spaces', 'sides']) if (find(name)) find(name).hidden = said.one;
  state.epochs = said.epochs && replay.watched(said.epochs, said.count);
  Object.assign(state, {at: state.maps, epoch: null, kinds: bytes(said.kinds, Uint8Array), guessed: bytes(said.guessed, Uint8Array),
    count: said.count, selected: new Set(), found: null, opened: -1, near: [], hovered: -1, query: null, limits: {}});
  if (find('find')) { find('find').value = ''; find('found').textContent = ''; }
  if (find('views')) { find('views').hidden = !state.epochs; if (state.epochs) find('epoch').max = state.epochs.students.length - 1; }
  press('view', 'map');
  plane.fit();
  await colour('label');
  if (state.model !== model) return;
  state.ready = true;
  apply(state.waiting);
  const limits = await server.limits({model});
  if (state.model === model) { state.limits = limits; draw([]); }
}
/* Press one of the buttons of a switch. */
function press(name, value) {
  for (const button of element.querySelectorAll(`[data-${name}]`)) {
    button.setAttribute('aria-pressed', String(button.dataset[name] === String(value)));
  }
}
async function colour(column) {
  const number = ++state.asked, model = state.model, said = await server.colours({model, column});
  if (number !== state.asked || state.model !== model) return;
  Object.assign(state, {codes: bytes(said.codes, Uint8Array), legend: said.legend, column,
    named: {codes: bytes(said.named, Uint16Array), names: said.names}});
  const used = new Set(state.codes), last = said.legend.length - 1;  // the last is of what is not known
  find('legend')?.replaceChildren(...said.legend.slice(0, used.has(last) ? last + 1 : last).map(([name, shown], code) => {
    const item = document.createElement('button'), mark = document.createElement('i');
    mark.style.background = shown; item.append(mark, name); item.type = 'button'; item.title = 'Select these points';
    item.addEventListener('click', () => select(order().filter(point => state.codes[point] === code).toSorted((a, b) => a - b)));
    return item;
  }));
  redraw();
}
/* What Python says comes as the value: the model, and what is new of query, selected, opened, column and shown. */
function receive() {
  let message = props.value;
  if (typeof message === 'string') { try { message = JSON.parse(message); } catch { message = null; } }
  if (!message?.model) return;
  if (message.model !== state.model || !state.ready) {  // until the points are there, messages add up
    state.waiting = message.model === state.model ? {...state.waiting, ...message} : message;
    if (message.model !== state.model) load(message.model);
    return;
  }
  apply(message);
}
function apply(message) {
  if ('query' in message) { Object.assign(state, {query: message.query, opened: -1, near: []}); offerKeys(); }
  if ('selected' in message) state.selected = new Set(message.selected);
  if ('shown' in message) state.shown = message.shown;
  if ('opened' in message) Object.assign(state, {opened: message.opened, near: message.near});
  if (message.column && message.column !== state.column) colour(message.column);
  else if ('selected' in message || 'shown' in message) redraw();
  else draw([]);  // a query is a mark: the points stay as they are
}
/* The keys by which the star can stand: as the page says, until one chooses here. */
function offerKeys() {
  const choice = find('key'), query = state.query;
  if (!query || !choice) return;
  const offered = [['', `as on Query (${query.first})`], ...Object.keys(query.keys).map(name => [name, `${name} key`])];
  choice.replaceChildren(...offered.map(([value, text]) => new Option(text, value, false, value === state.key)));
}
function select(points) {
  state.selected = new Set(points); redraw();
  trigger('select', {model: state.model, points});
}
function open(point) {
  Object.assign(state, {opened: point, near: []}); draw([]);
  trigger('open', {model: state.model, rows: [point]});
}
/* No point is opened any more: the star has its lines again. */
function close() { Object.assign(state, {opened: -1, near: []}); draw([]); }
function nearest(x, y, box) {
  const panel = panelAt(x, y, box);
  if (panel === undefined) return -1;
  const places = placesOf(panel);
  if (!grids.has(places)) { if (grids.size > 8) grids.clear(); grids.set(places, pointGrid(places)); }
  const spotted = unproject([x, y], panel, box);
  return grids.get(places)(...spotted, Math.max(HIT, radius(box) + 2) / scaleOf(box), isShown);
}
/* The view moves: what the pointer was on is elsewhere. */
function leave() { state.hovered = -1; tip.hidden = true; }
async function hover(point, x, y) {
  if (point !== state.hovered) { state.hovered = point; draw([]); }
  canvas.style.cursor = point >= 0 ? 'pointer' : 'crosshair';
  tip.hidden = point < 0;
  if (point < 0) return;
  tip.style.left = Math.max(0, Math.min(x + 14, place.clientWidth - 290)) + 'px'; tip.style.top = y + 16 + 'px';
  if (!texts.has(point)) {
    tip.textContent = '…';
    const model = state.model, said = await server.describe({model, point});
    if (state.model !== model) return;
    texts.set(point, said.text || '');
  }
  if (state.hovered === point) tip.textContent = texts.get(point);
}
mapPointer(canvas, state, {...plane, ...drawn, small: props.small, isLasso: () => find('mode').value === 'lasso',
  nearest, hover, open, close, select, draw});
/* Texts that hold the words light up, the others are dimmed; Enter selects them. */
let typing = 0;
async function search(text) {
  const number = ++typing, model = state.model;
  const points = text.trim() ? (await server.find({model, text})).points : null;
  if (number !== typing || state.model !== model) return;
  state.found = points && new Set(points);
  find('found').textContent = points ? `${points.length.toLocaleString('en')} found` : '';
  redraw();
}
on('find', 'input', event => { const text = event.target.value; clearTimeout(search.soon); search.soon = setTimeout(() => search(text), 150); });
on('find', 'keydown', event => { if (event.key === 'Enter' && state.found) { event.preventDefault(); select([...state.found]); } });
/* A finger that circles must not scroll the page. */
on('mode', 'change', event => { canvas.style.touchAction = event.target.value === 'lasso' ? 'none' : ''; });
on('closer', 'click', () => zoomMiddle(1.5));
on('farther', 'click', () => zoomMiddle(1 / 1.5));
on('morph', 'input', event => { leave(); state.morph = Number(event.target.value); state.moved = null; draw([0]); });
on('lines', 'change', event => { state.lines = event.target.checked; draw(); });
on('key', 'change', event => { state.key = event.target.value; draw([]); });
on('epoch', 'input', event => { replay.stopPlaying(); replay.showEpoch(Number(event.target.value)); });
on('play', 'click', replay.play);
on('clear', 'click', () => select([]));
on('home', 'click', plane.home);
on('larger', 'click', () => document.getElementById('maps')?.scrollIntoView({behavior: 'smooth'}));
on('views', 'click', event => { if (event.target.dataset.view && state.at) replay.showView(event.target.dataset.view); });
on('sides', 'click', event => {
  if (!event.target.dataset.side) return;
  state.side = Number(event.target.dataset.side); press('side', state.side); leave(); draw();
});
new ResizeObserver(() => draw()).observe(place);
new MutationObserver(redraw).observe(document.body, {attributeFilter: ['class']});
/* For tests: the points without marks, and where a point is drawn, in pixels of the canvas. */
canvas.points = base;
canvas.positionOf = (point, panel) => project(placeOf(point, panel), panel, size());
watch('value', receive);
receive();
