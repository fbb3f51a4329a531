/* Pointer, fingers, wheel and keys on the canvas of the maps; `view` is what they ask and what they move. */
export default function mapPointer(canvas, state, view) {
  const {size, panels, panelAt, project, unproject, placeOf, nearest, hover, open, close, select,
    order, isLit, isShown, centreOn, zoomAt, zoomMiddle, home, draw} = view;
  let pressed = null;
  const fingers = new Map();
  const spot = event => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  const spread = () => { const [[ax, ay], [bx, by]] = fingers.values(); return {apart: Math.hypot(ax - bx, ay - by), middle: [(ax + bx) / 2, (ay + by) / 2]}; };
  canvas.addEventListener('pointerdown', event => {
    if (!state.at) return;
    const [x, y] = spot(event), box = size(), panel = panelAt(x, y, box);
    if (panel === undefined) return;
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [x, y]);
    pressed = {x, y, panel, at: unproject([x, y], panel, box), moved: fingers.size > 1};
    state.lasso = fingers.size === 1 && !view.small && (event.shiftKey || view.isLasso()) ? {panel, path: [[x, y]]} : null;
  });
  canvas.addEventListener('pointermove', event => {
    if (!state.at) return;
    const [x, y] = spot(event), box = size();
    if (!pressed) { hover(nearest(x, y, box), x, y); return; }
    const before = fingers.size === 2 ? spread() : null;
    fingers.set(event.pointerId, [x, y]);
    if (before) { const now = spread(); zoomAt(now.apart / before.apart, now.middle, pressed.panel, box); return; }
    pressed.moved = pressed.moved || Math.hypot(x - pressed.x, y - pressed.y) > 4;
    if (state.lasso) { state.lasso.path.push([x, y]); draw([]); return; }
    if (pressed.moved) centreOn(pressed.at, [x, y], pressed.panel, box);
  });
  canvas.addEventListener('pointerup', event => {
    fingers.delete(event.pointerId);
    if (!pressed) return;
    const [x, y] = spot(event), box = size(), {moved} = pressed, {lasso} = state;
    pressed = null; state.lasso = null;
    if (!moved) { const point = nearest(x, y, box); if (point >= 0) open(point); else close(); return; }
    if (lasso) {
      const within = point => inside(lasso.path, ...project(placeOf(point, lasso.panel), lasso.panel, box));
      select(order().filter(within).toSorted((a, b) => a - b));
    }
  });
  canvas.addEventListener('pointercancel', event => { fingers.delete(event.pointerId); pressed = null; state.lasso = null; draw([]); });
  canvas.addEventListener('pointerleave', () => { if (!pressed) hover(-1, 0, 0); });
  canvas.addEventListener('wheel', event => {
    if (!state.at || !(event.ctrlKey || document.activeElement === canvas)) return;  // else the page scrolls
    const spotted = spot(event), box = size(), panel = panelAt(...spotted, box);
    if (panel === undefined) return;
    event.preventDefault();
    zoomAt(1.0015 ** -Math.max(-300, Math.min(300, event.deltaY)), spotted, panel, box);
  }, {passive: false});
  canvas.addEventListener('dblclick', home);
  canvas.addEventListener('keydown', event => {
    if (!state.at) return;
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (step) {
      let point = state.hovered;
      for (let tried = 0; tried < state.count; tried++) {
        point = (point + step + state.count) % state.count;
        if (isLit(point) && isShown(point)) break;
      }
      const box = size(), [panel] = panels();
      hover(point, ...project(placeOf(point, panel), panel, box));
    } else if (event.key === 'Enter' && state.hovered >= 0) open(state.hovered);
    else if (event.key === 'Escape') { close(); select([]); }
    else if (event.key === '+' || event.key === '-') zoomMiddle(event.key === '+' ? 1.25 : 0.8);
    else return;
    event.preventDefault();
  });
}
/* Whether a place lies within a path. */
function inside(path, x, y) {
  let odd = false;
  for (let i = 0, j = path.length - 1; i < path.length; j = i++) {
    const [xi, yi] = path[i], [xj, yj] = path[j];
    if ((yi > y) !== (yj > y) && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) odd = !odd;
  }
  return odd;
}
