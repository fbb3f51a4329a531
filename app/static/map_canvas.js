/* Two maps on one canvas, teacher's and student's space on the same axes, or one of them where the page has little
   room. Points come once from server.points, then only colours, numbers of points and small commands go to and fro.
   Data is drawn or set as textContent, never as HTML. */
const GAP = 16, TOP = props.small ? 2 : 26, HIT = 9, CLOSEST = 40, FEW = 4000, UNLIT = '#9aa0a8';
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
const texts = new Map(), grids = new Map(), densities = new Map();

const bytes = (text, Type) => new Type(Uint8Array.from(atob(text), letter => letter.charCodeAt(0)).buffer);
/* In pixels: they are larger in a lecture. */
const lettersOf = part => parseFloat(getComputedStyle(part).fontSize);
const css = name => getComputedStyle(element).getPropertyValue(name).trim();
/* A classifier that had no teacher has one space. */
const isSingle = () => props.small || state.one;
const panels = () => state.one ? [0] : props.small ? [state.side] : [0, 1];

function size() {
  const width = place.clientWidth, stacked = !isSingle() && width < 620;
  const side = isSingle() || stacked ? width : (width - GAP) / 2;
  const high = props.small ? Math.min(0.84 * side, 300) : stacked ? side * 0.8 : Math.min(side, 460);
  return {width, stacked, side, high, all: stacked ? 2 * (high + TOP) + GAP : high + TOP};
}
function corner(panel, box) {
  if (isSingle()) return [0, TOP];
  return box.stacked ? [0, panel * (box.high + TOP + GAP) + TOP] : [panel * (box.side + GAP), TOP];
}
const scaleOf = box => state.zoom * 0.92
  * Math.min(box.side / (state.high[0] - state.low[0]), box.high / (state.high[1] - state.low[1]));
function project([x, y], panel, box) {
  const [left, top] = corner(panel, box), scale = scaleOf(box);
  return [left + box.side / 2 + (x - state.centre[0]) * scale, top + box.high / 2 - (y - state.centre[1]) * scale];
}
function unproject([x, y], panel, box) {
  const [left, top] = corner(panel, box), scale = scaleOf(box);
  return [state.centre[0] + (x - left - box.side / 2) / scale, state.centre[1] - (y - top - box.high / 2) / scale];
}
function panelAt(x, y, box) {
  return panels().find(panel => {
    const [left, top] = corner(panel, box);
    return x >= left && x <= left + box.side && y >= top && y <= top + box.high;
  });
}
/* Positions of all points in a panel: the teacher's can be moved towards the student's. */
function placesOf(panel) {
  if (panel === 1 || !state.morph) return state.at[panel];
  if (!state.moved) state.moved = state.at[0].map((from, n) => from + state.morph * (state.at[1][n] - from));
  return state.moved;
}
function placeOf(point, panel) {
  const places = placesOf(panel);
  return [places[2 * point], places[2 * point + 1]];
}
/* The epochs are known of the watched texts alone: the others have no place then. */
const isShown = point => (state.epoch === null || !Number.isNaN(state.at[1][2 * point]))
  && (state.shown === 'all' || state.kinds[point] === (state.shown === 'memory' ? 0 : 1));
const isLit = point => (!state.selected.size || state.selected.has(point)) && (!state.found || state.found.has(point));
/* The last colour is of what is not known. */
const isKnown = point => state.codes[point] < state.legend.length - 1;
/* What tells least lies lowest: points that are not lit, those of an unknown value, those of a value that most have. */
function order() {
  if (state.order) return state.order;
  const layers = [[], [], [], [], []], counts = new Map(), shown = [];
  for (let point = 0; point < state.count; point++) if (isShown(point)) {
    shown.push(point);
    if (isKnown(point)) counts.set(state.codes[point], (counts.get(state.codes[point]) || 0) + 1);
  }
  const known = [...counts.values()].reduce((a, b) => a + b, 0);
  const isUsual = point => counts.get(state.codes[point]) > known / 2;
  for (const point of shown) layers[!isLit(point) ? 0 : !isKnown(point) ? 1 : isUsual(point) ? 2 : 3 + state.kinds[point]].push(point);
  state.order = layers.flat();
  return state.order;
}
/* A point is as large as the number of points allows, and grows with the zoom. */
const radius = (box = size()) => Math.min(9, (state.count > 5000 ? 1.6 : box.side < 420 ? 2.2 : 3) * state.zoom ** 0.45);

function clipped(ctx, panel, box, paintInside) {
  const [left, top] = corner(panel, box);
  ctx.save(); ctx.beginPath(); ctx.rect(left, top, box.side, box.high); ctx.clip(); paintInside(left, top); ctx.restore();
}
function titleOf(panel) {
  if (state.one) return "The classifier's space";
  const epoch = state.epoch === null ? '' : state.epoch ? `, after epoch ${state.epoch}` : ', before the training';
  if (panel === 1 || state.morph === 1) return "Student's space (x)" + epoch;
  return state.morph ? `${Math.round(100 * state.morph)} % of the way from z to x` : "Teacher's space (z)";
}
function drawPoints(ctx, panel, box) {
  const [left, top] = corner(panel, box), places = placesOf(panel), scale = scaleOf(box), big = radius(box);
  ctx.clearRect(left - 1, top - TOP, box.side + 2, box.high + TOP + 1);
  if (!props.small) { ctx.fillStyle = css('--body-text-color'); ctx.fillText(titleOf(panel), left + 2, top - 9); }
  ctx.strokeStyle = css('--border-color-primary'); ctx.lineWidth = 1;
  ctx.strokeRect(left + 0.5, top + 0.5, box.side - 1, box.high - 1);
  const right = left + box.side / 2 - state.centre[0] * scale, down = top + box.high / 2 + state.centre[1] * scale;
  const seen = order().filter(point => {
    const x = right + places[2 * point] * scale, y = down - places[2 * point + 1] * scale;
    return x > left - big && x < left + box.side + big && y > top - big && y < top + box.high + big;
  });
  const hollow = panel === 0 && state.epoch === null && state.morph < 1;
  clipped(ctx, panel, box, () => {
    for (const point of seen) {
      const x = right + places[2 * point] * scale, y = down - places[2 * point + 1] * scale, lit = isLit(point);
      ctx.globalAlpha = !lit ? 0.25 : isKnown(point) ? 0.8 : 0.45;
      ctx.fillStyle = ctx.strokeStyle = lit ? state.legend[state.codes[point]][1] : UNLIT;
      if (seen.length > FEW) {  // whole pixels: far faster than circles where no graphics card draws
        const wide = Math.round(2 * big) + 2 * state.kinds[point];
        const square = [Math.round(x) - (wide >> 1), Math.round(y) - (wide >> 1), wide, wide];
        if (hollow && state.guessed[point]) ctx.strokeRect(...square); else ctx.fillRect(...square);
        continue;
      }
      ctx.beginPath();
      if (state.kinds[point]) ctx.rect(x - big, y - big, 2 * big, 2 * big); else ctx.arc(x, y, big, 0, 6.2832);
      if (hollow && state.guessed[point]) { ctx.lineWidth = 1.5; ctx.stroke(); } else ctx.fill();
    }
    ctx.globalAlpha = 1;
    if (state.lines && state.epoch === null) drawMoves(ctx, panel, box);
  });
}
/* Lines from each x to its z: of the selected points, or of all. */
function drawMoves(ctx, panel, box) {
  ctx.strokeStyle = css('--body-text-color'); ctx.lineWidth = 1;
  ctx.globalAlpha = state.selected.size && state.selected.size < 200 ? 0.6 : 0.12;
  ctx.beginPath();
  for (const point of order()) {
    if (!isLit(point)) continue;
    const n = 2 * point;
    ctx.moveTo(...project([state.at[0][n], state.at[0][n + 1]], panel, box));
    ctx.lineTo(...project([state.at[1][n], state.at[1][n + 1]], panel, box));
  }
  ctx.stroke(); ctx.globalAlpha = 1;
}
/* How many points lie where, below them, and the names of the classes at their islands, above them. */
function densityOf(panel) {
  const places = placesOf(panel);
  if (!densities.has(places)) {
    if (densities.size > 40) densities.clear();  // of a morph each step has one
    const dark = document.body.classList.contains('dark');
    densities.set(places, pointDensity(places, state.named.codes, isShown, dark ? [230, 235, 245] : [40, 50, 70]));
  }
  return densities.get(places);
}
function drawShade(panel, box, ctx) {
  const {picture, left, top, side} = densityOf(panel), [x, y] = project([left, top], panel, box), wide = side * scaleOf(box);
  clipped(ctx, panel, box, () => {
    ctx.globalAlpha = Math.min(1, 3 / state.zoom);  // from near, the points tell it themselves
    ctx.drawImage(picture, x, y, wide, wide);
  });
}
function drawNames(box) {
  const names = [], layer = find('names'), letters = lettersOf(layer);
  context.font = `600 ${letters}px system-ui, sans-serif`;
  for (const panel of panels()) {
    const [left, top] = corner(panel, box), wanted = [];
    for (const [code, peak] of densityOf(panel).peaks) {
      const name = state.named.names[code];
      if (name === undefined) continue;
      const [x, y] = project([peak.x, peak.y], panel, box);
      wanted.push({name, x, y, width: Math.min(context.measureText(name).width + 6, 14 * letters), height: 1.4 * letters, size: peak.size});
    }
    names.push(...placeLabels(wanted, {left, top, width: box.side, height: box.high}));
  }
  while (layer.children.length < names.length) layer.append(document.createElement('span'));
  [...layer.children].forEach((label, number) => {
    label.hidden = number >= names.length;
    if (label.hidden) return;
    const {name, left, top, width} = names[number];
    label.textContent = name;
    label.style.cssText = `left: ${left}px; top: ${top}px; width: ${width}px`;
  });
}
function ring(point, panel, box, ink, wide) {
  const [x, y] = project(placeOf(point, panel), panel, box);
  context.strokeStyle = ink; context.lineWidth = wide > 3 ? 2.5 : 1.5;
  context.beginPath(); context.arc(x, y, radius(box) + wide, 0, 6.2832); context.stroke();
}
const keyOf = query => query.keys[state.key] ? state.key : query.first;
/* The query by the key that is chosen; on the axes of the replay it has no place. */
const starred = () => state.query && state.epoch === null ? state.query.keys[keyOf(state.query)] : null;
const isFar = found => found.similarity < state.limits[keyOf(state.query)];
/* The star moves with the points. */
function starPlace({places: [teacher, student]}, panel) {
  const t = panel ? 1 : state.morph;
  return teacher.map((from, axis) => from + t * (student[axis] - from));
}
function drawLines(from, near, weights, panel, box, ink) {
  const [x, y] = project(from, panel, box), most = Math.max(...weights);
  context.strokeStyle = ink;
  near.forEach((point, number) => {
    context.globalAlpha = 0.2 + 0.5 * weights[number] / most; context.lineWidth = 0.8 + weights[number] / most;
    context.beginPath(); context.moveTo(x, y); context.lineTo(...project(placeOf(point, panel), panel, box)); context.stroke();
  });
  context.globalAlpha = 1;
  for (const point of near) ring(point, panel, box, ink, 2);
}
function drawMarks(box) {
  const ink = css('--body-text-color'), accent = css('--primary-500') || '#0072b2', found = starred();
  for (const panel of panels()) clipped(context, panel, box, () => {
    if (state.opened >= 0) drawLines(placeOf(state.opened, panel), state.near, state.near.map(() => 1), panel, box, accent);
    else if (found) drawLines(starPlace(found, panel), found.neighbours, found.weights, panel, box, ink);
    if (found) star(...project(starPlace(found, panel), panel, box), ink, isFar(found));
    if (state.opened >= 0) ring(state.opened, panel, box, ink, 4);
    if (state.hovered >= 0) ring(state.hovered, panel, box, accent, 6);
    if (state.lasso && state.lasso.panel === panel) {
      context.strokeStyle = accent; context.lineWidth = 1.5; context.setLineDash([5, 4]); context.beginPath();
      state.lasso.path.forEach(([px, py], index) => index ? context.lineTo(px, py) : context.moveTo(px, py));
      context.closePath(); context.stroke(); context.setLineDash([]);
    }
  });
}
function star(x, y, ink, far) {
  const paper = css('--background-fill-primary');
  context.beginPath();
  for (let point = 0; point < 10; point++) {
    const angle = Math.PI * (point / 5 - 0.5), away = point % 2 ? 5.5 : 13;
    context.lineTo(x + away * Math.cos(angle), y + away * Math.sin(angle));
  }
  context.closePath();
  context.lineWidth = far ? 5 : 3; context.strokeStyle = paper; context.stroke();
  context.fillStyle = far ? paper : ink; context.fill();
  if (far) { context.lineWidth = 2; context.strokeStyle = ink; context.stroke(); }
}
let wanted = 0;
const stale = new Set();
/* Draw what is marked, and the points of those panels in which they moved or have another colour. */
function draw(of = panels()) {
  for (const panel of of) stale.add(panel);
  cancelAnimationFrame(wanted);
  wanted = requestAnimationFrame(paint);
}
/* Other points are shown or lit, or they have other colours or places. */
function redraw() { state.order = state.moved = null; densities.clear(); draw(); }
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
    for (const panel of panels()) drawShade(panel, box, below);
    for (const panel of panels()) if (stale.has(panel)) drawPoints(points, panel, box);
    drawNames(box);
    stale.clear();
  }
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(base, 0, 0);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  drawMarks(box);
  tell();
}
/* What tests and screen readers can see of a canvas. */
function tell() {
  const found = starred();
  Object.assign(canvas.dataset, {
    points: state.count, model: state.model, selected: state.selected.size, hovered: state.hovered, opened: state.opened,
    near: state.opened < 0 && found ? found.neighbours.length : state.near.length, column: state.column,
    query: found ? found.places.flat().map(value => value.toFixed(3)).join(' ') : '', far: found ? isFar(found) : '',
    morph: state.morph, shown: state.shown, found: state.found ? state.found.size : '', side: state.side,
    zoom: state.zoom.toFixed(3), epoch: state.epoch === null ? '' : state.epoch,
  });
  canvas.setAttribute('aria-label', `${props.small ? 'Map' : 'Maps'} of ${state.count} points, ${state.selected.size} selected. `
    + 'Arrow keys go through the points, Enter opens one, Escape clears the selection, plus and minus zoom.');
}
function fit() {
  const spaces = state.epoch === null ? state.at : [state.epochs.teacher, ...state.epochs.students];
  const low = [Infinity, Infinity], high = [-Infinity, -Infinity];
  for (const space of spaces) for (let n = 0; n < space.length; n++) {
    if (Number.isNaN(space[n])) continue;
    low[n % 2] = Math.min(low[n % 2], space[n]); high[n % 2] = Math.max(high[n % 2], space[n]);
  }
  for (const axis of [0, 1]) if (!(high[axis] > low[axis])) { low[axis] -= 0.5; high[axis] = low[axis] + 1; }
  Object.assign(state, {low, high});
  home();
}
function home() {
  if (!state.at) return;
  leave();
  Object.assign(state, {zoom: 1, centre: [0, 1].map(axis => (state.low[axis] + state.high[axis]) / 2)});
  draw();
}
/* Put a place of the plane where the pointer is; some of the points always stay in sight. */
function centreOn([x, y], [px, py], panel, box) {
  const [left, top] = corner(panel, box), scale = scaleOf(box);
  const centre = [x - (px - left - box.side / 2) / scale, y + (py - top - box.high / 2) / scale];
  state.centre = centre.map((value, axis) => Math.min(state.high[axis], Math.max(state.low[axis], value)));
  leave();
  draw();
}
/* Zoom so that what is under the pointer stays there. */
function zoomAt(factor, spotted, panel, box = size()) {
  const at = unproject(spotted, panel, box);
  state.zoom = Math.min(CLOSEST, Math.max(1, state.zoom * factor));
  if (state.zoom === 1) home(); else centreOn(at, spotted, panel, box);
}
function zoomMiddle(factor) {
  const box = size(), [panel] = panels(), [left, top] = corner(panel, box);
  zoomAt(factor, [left + box.side / 2, top + box.high / 2], panel, box);
}
async function load(model) {
  stopPlaying();
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
  state.epochs = said.epochs && watched(said.epochs, said.count);
  Object.assign(state, {at: state.maps, epoch: null, kinds: bytes(said.kinds, Uint8Array), guessed: bytes(said.guessed, Uint8Array),
    count: said.count, selected: new Set(), found: null, opened: -1, near: [], hovered: -1, query: null, limits: {}});
  if (find('find')) { find('find').value = ''; find('found').textContent = ''; }
  if (find('views')) { find('views').hidden = !state.epochs; if (state.epochs) find('epoch').max = state.epochs.students.length - 1; }
  press('view', 'map');
  fit();
  await colour('label');
  if (state.model !== model) return;
  state.ready = true;
  apply(state.waiting);
  const limits = await server.limits({model});
  if (state.model === model) { state.limits = limits; draw([]); }
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
/* Press one of the buttons of a switch. */
function press(name, value) {
  for (const button of element.querySelectorAll(`[data-${name}]`)) {
    button.setAttribute('aria-pressed', String(button.dataset[name] === String(value)));
  }
}
/* The maps and the replay are two views, each on axes of its own. */
function showView(view) {
  stopPlaying();
  press('view', view);
  find('of-map').hidden = view !== 'map'; find('of-replay').hidden = view === 'map';
  status.textContent = view === 'map' ? state.words : state.epochs.words;
  if (view === 'map') Object.assign(state, {epoch: null, at: state.maps});
  else { state.morph = 0; find('morph').value = 0; showEpoch(state.epochs.students.length - 1); }
  grids.clear(); redraw(); fit();
}
function showEpoch(number) {
  leave();
  Object.assign(state, {epoch: number, at: [state.epochs.teacher, state.epochs.students[number]]});
  find('epoch').value = number;
  find('epoch-name').textContent = number ? `after epoch ${number}` : 'before the training';
  redraw();
}
let playing = 0;
function stopPlaying() { clearInterval(playing); playing = 0; if (find('play')) find('play').textContent = 'Play'; }
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
  trigger('open', {model: state.model, point});
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
mapPointer(canvas, state, {small: props.small, isLasso: () => find('mode').value === 'lasso', size, panels, panelAt, project, unproject, placeOf,
  nearest, hover, open, close, select, order, isLit, isShown, centreOn, zoomAt, zoomMiddle, home, draw});
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
on('epoch', 'input', event => { stopPlaying(); showEpoch(Number(event.target.value)); });
on('play', 'click', play);
on('clear', 'click', () => select([]));
on('home', 'click', home);
on('larger', 'click', () => document.getElementById('maps')?.scrollIntoView({behavior: 'smooth'}));
on('views', 'click', event => { if (event.target.dataset.view && state.at) showView(event.target.dataset.view); });
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
