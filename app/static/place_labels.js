/* Moves labels apart: the largest classes first, each as near above its place as the others leave it; one that finds
   no room is left out. Labels have x, y, width, height and size; the box has left, top, width and height. */
export default function placeLabels(labels, box) {
  const taken = [], steps = [0, -1, 1, -2, 2].flatMap(down => [0, 0.4, -0.4].map(aside => [aside, down]));
  for (const label of labels.toSorted((a, b) => b.size - a.size)) {
    const {width, height} = label;
    if (label.x < box.left || label.x > box.left + box.width || label.y < box.top - height || label.y > box.top + box.height) continue;
    for (const [aside, down] of steps) {
      const left = Math.min(Math.max(label.x + (aside - 0.5) * width, box.left + 2), box.left + box.width - width - 2);
      const top = Math.min(Math.max(label.y - height, box.top + 2), box.top + box.height - height - 2) + down * height;
      if (top < box.top || top + height > box.top + box.height) continue;
      if (taken.some(other => left < other.left + other.width + 4 && other.left < left + width + 4
        && top < other.top + other.height && other.top < top + height)) continue;
      taken.push({...label, left, top});
      break;
    }
  }
  return taken;
}
