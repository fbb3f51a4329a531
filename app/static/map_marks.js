/* What is drawn over the points: the query's star, what is opened and pointed at, lines to neighbours, the lasso. */
export default function mapMarks(state, plane, radius, context, css) {
  const {panels, project, placeOf, clipped} = plane;
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
  return {drawMarks, starred, isFar};
}
