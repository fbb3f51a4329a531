/* Two maps on one canvas, teacher's and student's space on the same axes. Points come once from server.points, then
   only colours, numbers of points and small commands go to and fro. Data is drawn or set as textContent, never as HTML. */
const GAP = 16, TOP = 26, HIT = 9, FOCUS = '#d55e00';
const state = {
  model: null, count: 0, at: null, codes: null, legend: [], kinds: null, shown: 'all', selected: new Set(),
  hovered: -1, opened: -1, near: [], query: null, morph: 0, lines: false, zoom: 1, centre: [0, 0], lasso: null, asked: 0, ready: false,
  waiting: {}, maps: null, epochs: null, epoch: null,  // epoch: null on the maps, else a number from 0
};
const find = name => element.querySelector('.map-' + name);
const canvas = find('canvas'), tip = find('tip'), legend = find('legend'), status = find('status');
const context = canvas.getContext('2d');
const base = document.createElement('canvas');
const texts = new Map();

const bytes = (text, Type) => new Type(Uint8Array.from(atob(text), letter => letter.charCodeAt(0)).buffer);
const css = name => getComputedStyle(element).getPropertyValue(name).trim();

function size() {
  const width = canvas.parentElement.clientWidth, stacked = width < 620;
  const side = stacked ? width : (width - GAP) / 2;
  return {width, stacked, side, high: stacked ? side * 0.8 : Math.min(side, 460)};
}
function corner(panel, box) {
  return box.stacked ? [0, panel * (box.high + TOP + GAP) + TOP] : [panel * (box.side + GAP), TOP];
}
/* How far a panel is from the teacher's space to the student's. */
const morphed = panel => panel === 1 ? 1 : state.morph;
/* Position of a point in the plane: the teacher's panel can be morphed towards the student's. */
function place(point, panel) {
  const [teacher, student] = state.at, t = morphed(panel), n = 2 * point;
  return [teacher[n] + t * (student[n] - teacher[n]), teacher[n + 1] + t * (student[n + 1] - teacher[n + 1])];
}
function project(plane, panel, box) {
  const [left, top] = corner(panel, box), scale = state.scale(box) * state.zoom;
  return [left + box.side / 2 + (plane[0] - state.centre[0]) * scale,
          top + box.high / 2 - (plane[1] - state.centre[1]) * scale];
}
function panelAt(x, y, box) {
  return [0, 1].find(panel => {
    const [left, top] = corner(panel, box);
    return x >= left && x <= left + box.side && y >= top && y <= top + box.high;
  });
}
/* The epochs are known of the watched texts alone: the others have no place then. */
const isShown = point => (state.epoch === null || !Number.isNaN(state.at[1][2 * point]))
  && (state.shown === 'all' || state.kinds[point] === (state.shown === 'memory' ? 0 : 1));
const isLit = point => !state.selected.size || state.selected.has(point);

function clipped(ctx, panel, box, paintInside) {
  const [left, top] = corner(panel, box);
  ctx.save(); ctx.beginPath(); ctx.rect(left, top, box.side, box.high); ctx.clip(); paintInside(); ctx.restore();
}
function drawPoints(panels, box, ratio) {
  const ctx = base.getContext('2d'), radius = 3, many = state.count > 5000;
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.font = '600 13px system-ui, sans-serif';
  const after = state.epoch === null ? '' : state.epoch ? `, after epoch ${state.epoch}` : ', before the training';
  const names = [state.morph === 0 ? "Teacher's space (z)" : state.morph === 1 ? "Student's space (x)"
    : `${Math.round(100 * state.morph)} % of the way from z to x`, "Student's space (x)" + after];
  for (const panel of panels) {
    const [left, top] = corner(panel, box);
    ctx.clearRect(left - 1, top - TOP, box.side + 2, box.high + TOP + 1);
    ctx.fillStyle = css('--body-text-color'); ctx.fillText(names[panel], left + 2, top - 9);
    ctx.strokeStyle = css('--border-color-primary'); ctx.strokeRect(left + 0.5, top + 0.5, box.side - 1, box.high - 1);
    clipped(ctx, panel, box, () => {
      for (const lit of [false, true]) for (let point = 0; point < state.count; point++) {
        if (isLit(point) !== lit || !isShown(point)) continue;
        const [x, y] = project(place(point, panel), panel, box);
        ctx.globalAlpha = lit ? 0.8 : 0.25;
        ctx.fillStyle = lit ? state.legend[state.codes[point]][1] : '#9aa0a8';
        if (many) {  // whole pixels: far faster than circles where no graphics card draws
          const side = state.kinds[point] ? 5 : 3;
          ctx.fillRect(Math.round(x) - (side >> 1), Math.round(y) - (side >> 1), side, side);
          continue;
        }
        ctx.beginPath();
        if (state.kinds[point]) ctx.rect(x - radius, y - radius, 2 * radius, 2 * radius);
        else ctx.arc(x, y, radius, 0, 6.2832);
        ctx.fill();
      }
      ctx.globalAlpha = 1;
      if (state.lines) drawMoves(ctx, panel, box);
    });
  }
}
/* Lines from each x to its z: of the selected points, or of all. */
function drawMoves(ctx, panel, box) {
  ctx.strokeStyle = css('--body-text-color'); ctx.lineWidth = 1;
  ctx.globalAlpha = state.selected.size && state.selected.size < 200 ? 0.6 : 0.12;
  ctx.beginPath();
  for (let point = 0; point < state.count; point++) {
    if (!isLit(point) || !isShown(point)) continue;
    const n = 2 * point;
    ctx.moveTo(...project([state.at[0][n], state.at[0][n + 1]], panel, box));
    ctx.lineTo(...project([state.at[1][n], state.at[1][n + 1]], panel, box));
  }
  ctx.stroke(); ctx.globalAlpha = 1;
}
function ring(point, panel, box, shade, radius) {
  const [x, y] = project(place(point, panel), panel, box);
  context.strokeStyle = shade; context.lineWidth = 2.5;
  context.beginPath(); context.arc(x, y, radius, 0, 6.2832); context.stroke();
}
/* The query moves with the points. */
function queryPlace(query, panel) {
  const [teacher, student] = query.places, t = morphed(panel);
  return teacher.map((at, axis) => at + t * (student[axis] - at));
}
function drawMarks(box) {
  for (const panel of [0, 1]) clipped(context, panel, box, () => {
    const query = state.epoch === null ? state.query : null;  // of a query only the place on the maps is known
    const from = query ? queryPlace(query, panel) : state.opened >= 0 ? place(state.opened, panel) : null;
    const near = query ? query.neighbours : state.near;
    if (from) {
      const [x, y] = project(from, panel, box);
      context.strokeStyle = FOCUS; context.globalAlpha = 0.55; context.lineWidth = 1.2; context.beginPath();
      for (const point of near) { context.moveTo(x, y); context.lineTo(...project(place(point, panel), panel, box)); }
      context.stroke(); context.globalAlpha = 1;
      for (const point of near) ring(point, panel, box, FOCUS, 5);
      if (query) star(x, y);
    }
    if (state.opened >= 0) ring(state.opened, panel, box, css('--body-text-color'), 7);
    if (state.hovered >= 0) ring(state.hovered, panel, box, css('--primary-500') || '#0072b2', 9);
    if (state.lasso && state.lasso.panel === panel) {
      context.strokeStyle = css('--primary-500') || '#0072b2'; context.setLineDash([5, 4]); context.beginPath();
      state.lasso.path.forEach(([px, py], index) => index ? context.lineTo(px, py) : context.moveTo(px, py));
      context.closePath(); context.stroke(); context.setLineDash([]);
    }
  });
}
function star(x, y) {
  context.beginPath();
  for (let point = 0; point < 10; point++) {
    const angle = Math.PI * (point / 5 - 0.5), radius = point % 2 ? 5 : 12;
    context.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
  }
  context.closePath(); context.fillStyle = FOCUS; context.fill();
  context.lineWidth = 1.5; context.strokeStyle = '#ffffff'; context.stroke();
}
let wanted = 0;
const stale = new Set([0, 1]);
/* Draw what is marked, and the points of those panels in which they moved or have another colour. */
function draw(panels = [0, 1]) {
  for (const panel of panels) stale.add(panel);
  cancelAnimationFrame(wanted);
  wanted = requestAnimationFrame(paint);
}
function paint() {
  if (!state.at || !state.codes || !canvas.parentElement.clientWidth) return;
  const box = size(), ratio = window.devicePixelRatio || 1;
  const high = box.stacked ? 2 * (box.high + TOP) + GAP : box.high + TOP;
  if (canvas.width !== Math.round(box.width * ratio) || canvas.height !== Math.round(high * ratio)) {
    base.width = canvas.width = Math.round(box.width * ratio); base.height = canvas.height = Math.round(high * ratio);
    canvas.style.height = high + 'px';
    for (const panel of [0, 1]) stale.add(panel);
  }
  drawPoints(stale, box, ratio);
  stale.clear();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(base, 0, 0);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  drawMarks(box);
  tell();
}
/* What tests and screen readers can see of a canvas. */
function tell() {
  const data = {points: state.count, model: state.model, selected: state.selected.size, hovered: state.hovered,
    opened: state.opened, near: state.query ? state.query.neighbours.length : state.near.length,
    query: state.query ? state.query.places.flat().map(value => value.toFixed(3)).join(' ') : '', column: state.column,
    morph: state.morph, shown: state.shown, epoch: state.epoch === null ? '' : state.epoch};
  Object.assign(canvas.dataset, data);
  canvas.setAttribute('aria-label', `Maps of ${state.count} points, ${state.selected.size} selected. `
    + 'Arrow keys go through the points, Enter opens one, Escape clears the selection, plus and minus zoom.');
}
function fit() {
  const low = [Infinity, Infinity], top = [-Infinity, -Infinity];
  const spaces = state.epoch === null ? state.at : [state.epochs.teacher, ...state.epochs.students];
  for (const space of spaces) for (let n = 0; n < space.length; n++) {
    if (Number.isNaN(space[n])) continue;
    low[n % 2] = Math.min(low[n % 2], space[n]); top[n % 2] = Math.max(top[n % 2], space[n]);
  }
  const middle = [0, 1].map(axis => (low[axis] + top[axis]) / 2), wide = [0, 1].map(axis => top[axis] - low[axis] || 1);
  state.scale = box => 0.92 * Math.min(box.side / wide[0], box.high / wide[1]);
  state.home = () => { state.zoom = 1; state.centre = [...middle]; draw(); };
  state.home();
}
async function load(model) {
  stopPlaying();
  Object.assign(state, {model, ready: false, codes: null, at: null, shown: 'all'});
  context.setTransform(1, 0, 0, 1, 0, 0); context.clearRect(0, 0, canvas.width, canvas.height);
  const found = await server.points({model});
  if (state.model !== model) return;
  status.textContent = state.words = found.error || found.words;
  canvas.parentElement.hidden = Boolean(found.error);
  if (found.error) return;
  texts.clear();
  state.maps = [bytes(found.teacher, Float32Array), bytes(found.student, Float32Array)];
  state.epochs = found.epochs && watched(found.epochs, found.count);
  Object.assign(state, {at: state.maps, epoch: null, kinds: bytes(found.kinds, Uint8Array), count: found.count, selected: new Set(), opened: -1, near: [], hovered: -1,
    query: null});
  fit();
  offerEpochs();
  await colour('label');
  if (state.model !== model) return;
  state.ready = true;
  apply(state.waiting);
}
/* Places of the watched texts, spread to all points, so that colours, selection and pointer work as on the maps. */
function watched(epochs, count) {
  const rows = bytes(epochs.rows, Int32Array);
  const spread = text => {
    const known = bytes(text, Float32Array), every = new Float32Array(2 * count).fill(NaN);
    rows.forEach((row, number) => every.set(known.subarray(2 * number, 2 * number + 2), 2 * row));
    return every;
  };
  return {teacher: spread(epochs.teacher), students: epochs.students.map(spread), words: epochs.words};
}
function offerEpochs() {
  const last = state.epochs ? state.epochs.students.length : 0;
  find('epochs').hidden = !last;
  find('epoch').max = last; find('epoch').value = last;
  find('epoch-name').textContent = 'maps';
}
/* Show an epoch, or the maps for the number after the last. */
function showEpoch(number) {
  const onMaps = number >= state.epochs.students.length, before = state.epoch;
  state.epoch = onMaps ? null : number;
  state.at = onMaps ? state.maps : [state.epochs.teacher, state.epochs.students[number]];
  find('epoch').value = number;
  find('epoch-name').textContent = onMaps ? 'maps' : number ? `epoch ${number}` : 'before';
  status.textContent = onMaps ? state.words : state.epochs.words;
  if ((before === null) === onMaps) draw(); else fit();
}
let playing = 0;
function stopPlaying() { clearInterval(playing); playing = 0; find('play').textContent = 'Play the training'; }
function play() {
  if (playing) { stopPlaying(); return; }
  showEpoch(0);
  find('play').textContent = 'Stop';
  playing = setInterval(() => {
    showEpoch(state.epoch + 1);
    if (state.epoch === state.epochs.students.length - 1) stopPlaying();
  }, 700);
}
async function colour(column) {
  const number = ++state.asked, model = state.model, found = await server.colours({model, column});
  if (number !== state.asked || state.model !== model) return;
  state.codes = bytes(found.codes, Uint8Array); state.legend = found.legend; state.column = column;
  const used = new Set(state.codes), last = found.legend.length - 1;  // the last is of what is not known
  legend.replaceChildren(...found.legend.slice(0, used.has(last) ? last + 1 : last).map(([name, shade], code) => {
    const item = document.createElement('button'), mark = document.createElement('i');
    mark.style.background = shade; item.append(mark, name); item.type = 'button'; item.title = 'Select these points';
    item.addEventListener('click', () => {
      const points = [];
      for (let point = 0; point < state.count; point++) if (state.codes[point] === code && isShown(point)) points.push(point);
      select(points);
    });
    return item;
  }));
  draw();
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
  if ('query' in message) { state.query = message.query; state.opened = -1; state.near = []; }
  if ('selected' in message) state.selected = new Set(message.selected);
  if ('shown' in message) state.shown = message.shown;
  if ('opened' in message) Object.assign(state, {opened: message.opened, near: message.near, query: null});
  if (message.column && message.column !== state.column) colour(message.column);
  else draw('selected' in message || 'shown' in message ? [0, 1] : []);  // a query is a mark: the points stay as they are
}
function select(points) {
  state.selected = new Set(points); draw();
  trigger('select', {model: state.model, points});
}
function open(point) {
  Object.assign(state, {opened: point, near: [], query: null}); draw([]);
  trigger('open', {model: state.model, point});
}
function nearest(x, y, box) {
  const panel = panelAt(x, y, box);
  if (panel === undefined) return -1;
  let best = -1, least = HIT * HIT;
  for (let point = 0; point < state.count; point++) {
    if (!isShown(point)) continue;
    const [px, py] = project(place(point, panel), panel, box), distance = (px - x) ** 2 + (py - y) ** 2;
    if (distance < least) { least = distance; best = point; }
  }
  return best;
}
async function hover(point, x, y) {
  if (point !== state.hovered) { state.hovered = point; draw([]); }
  canvas.style.cursor = point >= 0 ? 'pointer' : 'crosshair';
  tip.hidden = point < 0;
  if (point < 0) return;
  const wide = canvas.parentElement.clientWidth;
  tip.style.left = Math.max(0, Math.min(x + 14, wide - 270)) + 'px'; tip.style.top = y + 16 + 'px';
  if (!texts.has(point)) {
    tip.textContent = '…';
    const model = state.model, found = await server.describe({model, point});
    if (state.model !== model) return;
    texts.set(point, found.text || '');
  }
  if (state.hovered === point) tip.textContent = texts.get(point);
}
function inside(path, x, y) {
  let odd = false;
  for (let i = 0, j = path.length - 1; i < path.length; j = i++) {
    const [xi, yi] = path[i], [xj, yj] = path[j];
    if ((yi > y) !== (yj > y) && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) odd = !odd;
  }
  return odd;
}
let pressed = null;
const spot = event => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
const lassoed = event => event.shiftKey || find('mode').value === 'lasso';
canvas.addEventListener('pointerdown', event => {
  if (!state.at) return;
  const [x, y] = spot(event), panel = panelAt(x, y, size());
  if (panel === undefined) return;
  canvas.setPointerCapture(event.pointerId);
  pressed = {x, y, centre: [...state.centre], moved: false, lasso: lassoed(event)};
  if (pressed.lasso) state.lasso = {panel, path: [[x, y]]};
});
canvas.addEventListener('pointermove', event => {
  if (!state.at) return;
  const [x, y] = spot(event), box = size();
  if (!pressed) { hover(nearest(x, y, box), x, y); return; }
  pressed.moved = pressed.moved || Math.hypot(x - pressed.x, y - pressed.y) > 4;
  if (state.lasso) { state.lasso.path.push([x, y]); draw([]); return; }
  const scale = state.scale(box) * state.zoom;
  state.centre = [pressed.centre[0] - (x - pressed.x) / scale, pressed.centre[1] + (y - pressed.y) / scale];
  if (pressed.moved) draw();
});
canvas.addEventListener('pointerup', event => {
  if (!pressed) return;
  const [x, y] = spot(event), box = size(), {moved} = pressed, lasso = state.lasso;
  pressed = null; state.lasso = null;
  if (!moved) { const point = nearest(x, y, box); if (point >= 0) open(point); else draw([]); return; }
  if (!lasso) return;
  const points = [];
  for (let point = 0; point < state.count; point++) {
    if (isShown(point) && inside(lasso.path, ...project(place(point, lasso.panel), lasso.panel, box))) points.push(point);
  }
  select(points);
});
canvas.addEventListener('pointercancel', () => { pressed = null; state.lasso = null; draw([]); });
canvas.addEventListener('pointerleave', () => { if (!pressed) hover(-1, 0, 0); });
canvas.addEventListener('wheel', event => {
  if (!state.at || !(event.ctrlKey || document.activeElement === canvas)) return;  // else the page scrolls
  event.preventDefault();
  state.zoom = Math.min(60, Math.max(0.5, state.zoom * (event.deltaY < 0 ? 1.2 : 1 / 1.2))); draw();
}, {passive: false});
canvas.addEventListener('dblclick', () => state.home && state.home());
canvas.addEventListener('keydown', event => {
  if (!state.at) return;
  const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
  if (step) {
    let point = state.hovered;
    for (let tried = 0; tried < state.count; tried++) {
      point = (point + step + state.count) % state.count;
      if (isLit(point) && isShown(point)) break;
    }
    const box = size(), at = project(place(point, 0), 0, box);
    hover(point, ...at);
  } else if (event.key === 'Enter' && state.hovered >= 0) open(state.hovered);
  else if (event.key === 'Escape') select([]);
  else if (event.key === '+' || event.key === '-') { state.zoom *= event.key === '+' ? 1.25 : 0.8; draw(); }
  else return;
  event.preventDefault();
});
/* A finger that circles must not scroll the page. */
find('mode').addEventListener('change', event => { canvas.style.touchAction = event.target.value === 'lasso' ? 'none' : ''; });
for (const [name, factor] of [['closer', 1.5], ['farther', 1 / 1.5]])
  find(name).addEventListener('click', () => { state.zoom = Math.min(60, Math.max(0.5, state.zoom * factor)); draw(); });
find('morph').addEventListener('input', event => { state.morph = Number(event.target.value); draw([0]); });
find('lines').addEventListener('change', event => { state.lines = event.target.checked; draw(); });
find('epoch').addEventListener('input', event => { stopPlaying(); showEpoch(Number(event.target.value)); });
find('play').addEventListener('click', play);
find('clear').addEventListener('click', () => select([]));
find('home').addEventListener('click', () => state.home && state.home());
new ResizeObserver(() => draw()).observe(canvas.parentElement);
new MutationObserver(() => draw()).observe(document.body, {attributeFilter: ['class']});
/* For tests: where a point is drawn, in pixels of the canvas. */
canvas.positionOf = (point, panel) => project(place(point, panel), panel, size());
watch('value', receive);
receive();
