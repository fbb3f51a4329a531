/* Lecture mode: large letters, and one part of a page at a time. A step is its name, the parts that it shows, and true
   where these come one by one; what the page has not is skipped. Gradio leaves alone what is marked in data-step. */
const MAP = ['The map', '#maps'];
const STEPS = {
  query: [
    ['The text', '#text, #text-pair, #examples, #message'],
    ['The student alone', '#answer .asked, #answer .answer-bars tr > :nth-child(-n+2)'],
    ['What each voice adds', '#answer .answer-parts tbody tr', true],
    ['The nearest memories', '#query-key, #neighbours'],
    ['The pool: what all say together', '#answer'],
    ['The map', '#query-map'],
    ['Both spaces', '#maps'],
  ],
  errors: [
    ['How good the answers are', '#errors-summary'], ['Slices, the worst first', '#errors-slices'],
    ['Does the confidence mean what it says?', '#reliability'], ['Which classes are taken for which', '#confusion'],
    ['Who disagrees', '#disagreements'], ['Leave some texts to a person', '#selective, #own-threshold, #coverage-curve'],
    ['The rows', '#errors-shown, #errors-rows'], ['One row', '#opened-row'], MAP,
  ],
  memory: [
    ['Which memories', '#show, #memory-chosen, #memory-rows'], ['One memory', '#memory-forms'], ['The edits', '#pending, #pins'],
    ['What they fix and break', '#try, #patch-effect, #changed'], ['A new version', '#save-row, #memory-saved'], MAP,
  ],
  label: [
    ['A log of texts', '#label-upload, #label-sample, #label-progress'], ['What is asked first', '#label-text, #label-answer'],
    ['The label', '#label-text, #label-buttons, #label-other, #label-give'], ['The nearest memories', '#label-neighbours'],
    ['What the labels gain', '#label-gain, #label-plot'],
  ],
  compare: [
    ['The two sides', '#compare-first, #compare-second, #compare-text'], ['The first answer', '#compare-first-answer'],
    ['The second answer', '#compare-second-answer'], ['Both', '#compare-first-answer, #compare-second-answer, #compare-verdict'],
    ['Who is right where', '#compare-summary, #compare-outcomes'], ['Several models', '#compare-models, #compare-measure, #compare-measured'], ['The rows', '#compare-chosen, #compare-rows'], MAP,
  ],
  train: [
    ['What it learns from', '#train-source, #train-about, #train-preview'],
    ['Teacher and student', '#train-teacher, #train-student, #train-layers'],
    ['The training', '#train-start, #train-status, #train-loss'], ['What it reached', '#train-results'], ['How the spaces move', '#train-epochs'],
  ],
  learn: [
    ['The text and what is found for it', '#learn-text'], ['Your guess', '#learn-text, #learn-student, #learn-memory, #learn-changes, #learn-reveal'],
    ['What was right', '#learn-guessed, #learn-answer'], ['A task', '#learn-tasks'],
    ['Its answer', '#learn-task, #learn-temperature, #learn-soft, #learn-number, #learn-one, #learn-several, #learn-check, #learn-verdict'],
  ],
};
const LETTERS = 20;  // pixels, of the figures; style.css has those of all else
const find = name => element.querySelector(`.lecture-${name}`);
const all = parts => [...document.querySelectorAll(parts)];
const isOn = () => document.body.classList.contains('lecture');
const opened = () => document.querySelector('#views [role=tab][aria-selected=true]');
const places = {};  // the step of each page

function stepsOf(page) {
  return (STEPS[page] ?? []).flatMap(([name, parts, oneByOne]) => {
    const found = all(parts);
    if (oneByOne) return found.map((_, last) => [name, found.slice(0, last + 1)]);
    return found.length ? [[name, found]] : [];
  });
}
/* The parts that are shown, and all that they lie in. */
function marksOf(parts) {
  const marks = new Map(parts.map(part => [part, 'shown']));
  for (const part of parts)
    for (let above = part.parentElement; above && !marks.has(above); above = above.parentElement) marks.set(above, 'path');
  return marks;
}
function mark(marks) {
  for (const part of all('[data-step]')) if (!marks.has(part)) delete part.dataset.step;
  for (const [part, step] of marks) if (part.dataset.step !== step) part.dataset.step = step;
}
/* Show the step of the page that is open, on a page that may have changed. */
function show() {
  const page = opened()?.dataset.tabId, steps = stepsOf(page);
  find('bar').hidden = !isOn();
  letter();
  if (!isOn() || !steps.length) { mark(new Map()); return; }
  const place = places[page] = Math.max(0, Math.min(places[page] ?? 0, steps.length - 1)), [name, parts] = steps[place];
  mark(marksOf([...parts, element, ...all('#views > .tab-wrapper')]));
  const words = `${opened().textContent}, ${place + 1} of ${steps.length}: ${name}`;
  if (find('step').textContent !== words) find('step').textContent = words;
  find('back').disabled = place === 0;
  find('forward').disabled = place === steps.length - 1;
}
/* Figures write their own letters; Gradio draws them anew in small ones. */
const layouts = new WeakMap();  // as they are outside of a lecture
function letter() {
  for (const figure of all('.js-plotly-plot')) {
    const isLarge = figure.layout?.font?.size === LETTERS;
    if (!window.Plotly || !figure.layout || isLarge === isOn()) continue;
    if (isOn()) {
      layouts.set(figure, structuredClone(figure.layout));
      const fonts = ['font', 'title.font', 'legend.font'];
      for (const axis in figure.layout) if (/^[xy]axis/.test(axis)) fonts.push(`${axis}.title.font`, `${axis}.tickfont`);
      (figure.layout.annotations ?? []).forEach((_, number) => fonts.push(`annotations[${number}].font`));
      const larger = Object.fromEntries(fonts.map(font => [`${font}.size`, LETTERS]));
      if (figure.layout.margin?.t) larger['margin.t'] = 1.6 * figure.layout.margin.t;  // two lines of a title
      if (figure.layout.legend?.y < 0) larger['legend.y'] = 1.6 * figure.layout.legend.y;  // under its axis
      window.Plotly.update(figure, {'textfont.size': LETTERS}, larger);
    } else window.Plotly.react(figure, figure.data, layouts.get(figure));
  }
}
function go(steps) {
  places[opened()?.dataset.tabId] += steps;
  show();
  scrollTo(0, 0);
}
const changes = new MutationObserver(show);
function turn(on) {
  document.body.classList.toggle('lecture', on);
  find('switch').ariaPressed = String(on);
  const address = new URL(location);
  if (on) address.searchParams.set('lecture', '1'); else address.searchParams.delete('lecture');
  history.replaceState(history.state, '', address);
  if (on) changes.observe(document.body, {childList: true, subtree: true, attributeFilter: ['aria-selected', 'data-step']});
  else changes.disconnect();
  show();
}
/* Where a key has a meaning of its own, a presenter's remote alone steps on. */
const STEP = {ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1};
document.addEventListener('keydown', event => {
  const isUsed = event.target.closest?.('input, textarea, select, canvas, [contenteditable=true]');
  if (!isOn() || event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === 'Escape' && !isUsed) turn(false);
  else if (STEP[event.key] && (event.key.startsWith('Page') || !isUsed)) go(STEP[event.key]);
  else return;
  event.preventDefault();
});
find('switch').addEventListener('click', () => turn(!isOn()));
find('end').addEventListener('click', () => turn(false));
find('back').addEventListener('click', () => go(-1));
find('forward').addEventListener('click', () => go(1));
if (new URLSearchParams(location.search).get('lecture') === '1') turn(true);
