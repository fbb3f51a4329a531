/* The points of the maps, those that tell least beneath the others. */
export default function mapPoints(state, plane, small, css) {
  const FEW = 4000, UNLIT = '#9aa0a8';
  const {TOP, size, corner, scaleOf, project, placesOf, clipped} = plane;
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

  function titleOf(panel) {
    if (state.one) return "The classifier's space";
    const epoch = state.epoch === null ? '' : state.epoch ? `, after epoch ${state.epoch}` : ', before the training';
    if (panel === 1 || state.morph === 1) return "Student's space (x)" + epoch;
    return state.morph ? `${Math.round(100 * state.morph)} % of the way from z to x` : "Teacher's space (z)";
  }
  function drawPoints(ctx, panel, box) {
    const [left, top] = corner(panel, box), places = placesOf(panel), scale = scaleOf(box), big = radius(box);
    ctx.clearRect(left - 1, top - TOP, box.side + 2, box.high + TOP + 1);
    if (!small) { ctx.fillStyle = css('--body-text-color'); ctx.fillText(titleOf(panel), left + 2, top - 9); }
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
  return {isShown, isLit, order, radius, drawPoints};
}
