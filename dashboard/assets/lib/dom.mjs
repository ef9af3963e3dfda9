// Preact with tagged templates: html`<p class=${x}>…</p>`; render(vnode, element).
import { Component, Fragment, h, render } from "../vendor/preact.mjs";
import htm from "../vendor/htm.mjs";

export const html = htm.bind(h);
export { Component, Fragment, h, render };
