/* The values of an event's inputs, with what stands in some boxes now, by their places. */
export default function readBoxes({boxes, count}, ...values) {
  for (const [place, box] of Object.entries(boxes)) values[place] = document.querySelector(box)?.value ?? values[place];
  return values.slice(0, count);
}
