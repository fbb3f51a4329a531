/* Counts points in a grid, smoothed, so that one sees where many lie over one another: a picture, its box in the plane,
   and for each code of a point the top of the island where most of its points lie. */
export default function pointDensity(places, codes, isCounted, rgb) {
  const ACROSS = 72, low = [Infinity, Infinity], high = [-Infinity, -Infinity], grids = new Map();
  for (let n = 0; n < places.length; n++) if (!Number.isNaN(places[n])) {
    low[n % 2] = Math.min(low[n % 2], places[n]); high[n % 2] = Math.max(high[n % 2], places[n]);
  }
  const wide = Math.max(high[0] - low[0], high[1] - low[1]) / (ACROSS - 8) || 1;  // four cells of margin
  const start = [0, 1].map(axis => (low[axis] + high[axis]) / 2 - (ACROSS / 2) * wide);
  const total = new Float32Array(ACROSS * ACROSS);
  for (let point = 0; point < codes.length; point++) {
    if (!isCounted(point) || Number.isNaN(places[2 * point])) continue;
    const at = Math.floor((places[2 * point + 1] - start[1]) / wide) * ACROSS + Math.floor((places[2 * point] - start[0]) / wide);
    if (!grids.has(codes[point])) grids.set(codes[point], new Float32Array(ACROSS * ACROSS));
    grids.get(codes[point])[at]++; total[at]++;
  }
  const smoothed = values => {
    for (const step of [1, ACROSS]) {
      values = values.map((value, n) => [-2, -1, 1, 2].reduce(
        (sum, away) => sum + (away % 2 ? 4 : 1) * (values[n + away * step] || 0), 6 * value) / 16);
    }
    return values;
  };
  const peaks = new Map();
  for (const [code, values] of grids) {
    const grid = smoothed(values), most = grid.indexOf(grid.reduce((a, b) => Math.max(a, b)));
    let above = most;
    while (grid[above + ACROSS] > grid[most] / 8) above += ACROSS;  // to the upper shore of its island
    const x = start[0] + (most % ACROSS + 0.5) * wide, y = start[1] + (Math.floor(above / ACROSS) + 1) * wide;
    peaks.set(code, {x, y, size: values.reduce((a, b) => a + b)});
  }
  const grid = smoothed(total), most = grid.reduce((a, b) => Math.max(a, b), 1e-9);
  const picture = document.createElement('canvas'), context = picture.getContext('2d');
  picture.width = picture.height = ACROSS;
  const image = context.createImageData(ACROSS, ACROSS);
  grid.forEach((value, n) => {
    const row = ACROSS - 1 - Math.floor(n / ACROSS), pixel = 4 * (row * ACROSS + n % ACROSS);
    image.data.set([...rgb, 70 * Math.sqrt(value / most)], pixel);
  });
  context.putImageData(image, 0, 0);
  return {picture, peaks, left: start[0], top: start[1] + ACROSS * wide, side: ACROSS * wide};
}
