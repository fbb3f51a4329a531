/* Keep the address of what is seen. Another page is a step for the browser's Back; all else replaces the last address. */
export default function setAddress(options, link) {
  const view = new URLSearchParams(link).get('view') ?? 'query', now = new URLSearchParams(location.search);
  window.tabOf ??= name => document.querySelector(`#views [role=tab][data-tab-id="${name}"]`);
  window.goBack ??= event => window.tabOf(event.state?.view)?.click();
  if (window.tabOf(view)?.ariaSelected !== 'true') return;  // it was left while the server wrote its address
  for (const kept of ['lecture', '__theme']) if (now.has(kept)) link += `&${kept}=${encodeURIComponent(now.get(kept))}`;
  const isStep = history.state?.view && history.state.view !== view;
  history[isStep ? 'pushState' : 'replaceState']({view}, '', link);
  addEventListener('popstate', window.goBack);  // once, since it is the same each time
}
