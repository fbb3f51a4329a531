/* Finds the point nearest to a place, by a grid of cells with about two points each: a loop over all would be slow. */
export default function pointGrid(places) {
  const count = places.length / 2, across = Math.max(1, Math.ceil(Math.sqrt(count / 2)));
  const low = [Infinity, Infinity], high = [-Infinity, -Infinity];
  for (let n = 0; n < places.length; n++) if (!Number.isNaN(places[n])) {
    low[n % 2] = Math.min(low[n % 2], places[n]); high[n % 2] = Math.max(high[n % 2], places[n]);
  }
  const wide = Math.max(high[0] - low[0], high[1] - low[1]) / across || 1;
  const cell = (value, axis) => Math.min(across - 1, Math.max(0, Math.floor((value - low[axis]) / wide)));
  const cells = Array.from({length: across * across}, () => []);
  for (let point = 0; point < count; point++) {
    const n = 2 * point;
    if (!Number.isNaN(places[n])) cells[cell(places[n + 1], 1) * across + cell(places[n], 0)].push(point);
  }
  /* The nearest point within a radius that is accepted, -1 if there is none. */
  return (x, y, radius, isAccepted) => {
    let best = -1, least = radius * radius;
    for (let row = cell(y - radius, 1); row <= cell(y + radius, 1); row++)
      for (let column = cell(x - radius, 0); column <= cell(x + radius, 0); column++)
        for (const point of cells[row * across + column]) {
          const distance = (places[2 * point] - x) ** 2 + (places[2 * point + 1] - y) ** 2;
          if (distance < least && isAccepted(point)) { least = distance; best = point; }
        }
    return best;
  };
}
