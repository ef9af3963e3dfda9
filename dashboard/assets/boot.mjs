// Dash draws the frame of a page; then the page's own module takes over. It is asked for at once, while Dash still draws.

const PAGES = { wall: "./wall/main.mjs", explore: "./explore/main.mjs" };

const early = PAGES[location.pathname.slice(1)];
if (early) import(early).then((page) => page.prepare?.());

const found = () => Object.keys(PAGES).find((id) => document.getElementById(id));

function boot() {
  const id = found();
  if (!id) return;
  watcher.disconnect();
  import(PAGES[id]).then((page) => page.mount(document.getElementById(id)));
}

const watcher = new MutationObserver(boot);
watcher.observe(document.documentElement, { childList: true, subtree: true });
boot();
