/* Sorts the rows of a table as they stand in the page, figures as figures, what is missing last; the head says so. */
export default function sortRows(element, column, down) {
  const words = row => row.cells[column]?.textContent.trim() ?? '';
  const compare = (a, b) => {
    if (a === '' || b === '') return (a === '') - (b === '');
    const apart = Number(a) - Number(b), order = Number.isNaN(apart) ? a.localeCompare(b, undefined, {numeric: true}) : apart;
    return down ? -order : order;
  };
  const heads = element.querySelectorAll('thead th');
  for (const head of heads) head.removeAttribute('aria-sort');
  heads[column]?.setAttribute('aria-sort', down ? 'descending' : 'ascending');
  for (const body of element.querySelectorAll('tbody')) body.append(...[...body.rows].toSorted((a, b) => compare(words(a), words(b))));
}
