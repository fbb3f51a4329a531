/* The two views: the maps, and the replay of the training on axes of its own. */
export default function mapReplay(state, find, {bytes, press, leave, redraw, fit}) {
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
  /* The maps and the replay are two views, each on axes of its own. */
  function showView(view) {
    stopPlaying();
    press('view', view);
    find('of-map').hidden = view !== 'map'; find('of-replay').hidden = view === 'map';
    find('status').textContent = view === 'map' ? state.words : state.epochs.words;
    if (view === 'map') Object.assign(state, {epoch: null, at: state.maps});
    else { state.morph = 0; find('morph').value = 0; showEpoch(state.epochs.students.length - 1); }
    redraw(); fit();
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
  return {watched, showView, showEpoch, stopPlaying, play};
}
