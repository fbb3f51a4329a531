/* What is seen from afar: how many points lie where, below them, and the names of the classes at their islands, above. */
export default function mapIslands(state, plane, isShown, layer, context) {
  const {panels, corner, scaleOf, project, placesOf, clipped} = plane, densities = new Map();
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
  function drawNames(box, letters) {
    const names = [];
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
  return {drawShade, drawNames, forget: () => densities.clear()};
}
