// Dash draws the frame of a page; then the page's own module takes over. One look at a time, no library.

const PAGES = { wall: "/assets/wall/main.mjs", explore: "/assets/explore/main.mjs" };

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
