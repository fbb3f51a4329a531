/* Where the plane lies on the canvas: a panel for each space, beside or below one another, seen from near or from far.
   `moved` is called when the view moves. */
export default function mapPlane(state, place, small, moved) {
  const GAP = 16, TOP = small ? 2 : 26, CLOSEST = 40;
  /* A classifier that had no teacher has one space. */
  const isSingle = () => small || state.one;
  const panels = () => state.one ? [0] : small ? [state.side] : [0, 1];

  function size() {
    const width = place.clientWidth, stacked = !isSingle() && width < 620;
    const side = isSingle() || stacked ? width : (width - GAP) / 2;
    const high = small ? Math.min(0.84 * side, 300) : stacked ? side * 0.8 : Math.min(side, 460);
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
  function clipped(ctx, panel, box, paintInside) {
    const [left, top] = corner(panel, box);
    ctx.save(); ctx.beginPath(); ctx.rect(left, top, box.side, box.high); ctx.clip(); paintInside(left, top); ctx.restore();
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
    Object.assign(state, {zoom: 1, centre: [0, 1].map(axis => (state.low[axis] + state.high[axis]) / 2)});
    moved();
  }
  /* Put a place of the plane where the pointer is; some of the points always stay in sight. */
  function centreOn([x, y], [px, py], panel, box) {
    const [left, top] = corner(panel, box), scale = scaleOf(box);
    const centre = [x - (px - left - box.side / 2) / scale, y + (py - top - box.high / 2) / scale];
    state.centre = centre.map((value, axis) => Math.min(state.high[axis], Math.max(state.low[axis], value)));
    moved();
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
  return {TOP, panels, size, corner, scaleOf, project, unproject, panelAt, placesOf, placeOf, clipped, fit, home, centreOn, zoomAt,
    zoomMiddle};
}
