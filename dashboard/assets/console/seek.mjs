// One box for everything: pages, incidents, cases, devices, assets and places, rules, crews. / opens it, ↓ ↑ choose, Enter goes.

import { get } from "../lib/api.mjs";
import { html } from "../lib/dom.mjs";
import { name, t, titled, told } from "../lib/text.mjs";

const EACH = 5;
const LEAST = 1;
const PAUSE_MS = 200;

export class Seek {
  constructor(desk) {
    this.desk = desk;
    this.places = [];
    this.at = -1;
    this.open = false;
  }

  /** Something was typed: what we hold answers at once, places are asked for. */
  type(words) {
    this.at = -1;
    this.open = true;
    clearTimeout(this.timer);
    if (words.trim().length <= LEAST) this.places = [];
    else this.timer = setTimeout(() => this.#ask(words.trim()), PAUSE_MS);
  }

  async #ask(words) {
    const found = await get(`/map/search?${new URLSearchParams({ q: words, limit: String(EACH) })}`).catch(() => ({ items: [] }));
    if (this.desk.filter.words.trim() !== words) return;
    this.places = found.items;
    this.desk.touch();
  }

  /** [{noun, id, words, note, go}] of everything that holds all the words. */
  found() {
    const { desk } = this;
    const words = desk.filter.words.trim().toLowerCase().split(/\s+/).filter(Boolean);
    if (!this.open || !words.length) return [];
    const holds = (...parts) => words.every((word) => parts.filter(Boolean).join(" ").toLowerCase().includes(word));
    const some = (noun, items, describe, go) =>
      items.map((item) => ({ noun, id: `${noun}-${item.id}`, ...describe(item), go: () => go(item) })).filter((each) => holds(each.words, each.note, each.more)).slice(0, EACH);
    const view = (noun) => (item) => desk.open(noun, item.id);
    return [
      ...some("page", desk.pages(), (page) => ({ words: page.words, note: page.href, more: page.id }), (page) => desk.visit(page)),
      ...some("incident", desk.live.list("incidents"), (i) => ({ words: told(i.title), note: `${i.number} ${name(i.place)}`, more: `${i.asset ?? ""} ${i.zone ?? ""}` }), view("incidents")),
      ...some("case", desk.cases, (c) => ({ words: told(c.title), note: c.number ?? c.id, more: c.department }), (c) => (c.incident ? desk.open("incidents", c.incident) : location.assign(`/case/${encodeURIComponent(c.id)}`))),
      ...some("device", [...desk.devices.values()], (d) => ({ words: name(d.name), note: d.id, more: `${d.asset} ${d.zone} ${titled("kind", d.kind)}` }), view("devices")),
      ...some("crew", [...desk.crews.values()], (c) => ({ words: name(c.name), note: c.id, more: c.kind }), () => desk.open("crews", null)),
      ...some("rule", desk.book.items, (r) => ({ words: titled("rule", r.id), note: r.id, more: titled("domain", r.domain) }), view("rules")),
      ...this.places.map((place) => ({ noun: "place", id: `place-${place.id}`, words: name(place.name), note: place.id, go: () => desk.showOnMap(place) })),
    ];
  }

  /** True when the key was ours. */
  key(event) {
    const rows = this.found();
    if (event.key === "ArrowDown" && rows.length) this.at = (this.at + 1) % rows.length;
    else if (event.key === "ArrowUp" && rows.length) this.at = (this.at + rows.length - 1) % rows.length;
    else if (event.key === "Enter" && rows.length) this.go(rows[Math.max(0, this.at)]);
    else if (event.key === "Escape" && this.open) this.open = false;
    else return false;
    event.preventDefault();
    event.stopPropagation();
    this.desk.touch();
    return true;
  }

  go(row) {
    this.open = false;
    this.desk.filter = { ...this.desk.filter, words: "" };
    document.getElementById("search")?.blur();
    row.go();
    this.desk.touch();
  }

  draw() {
    const rows = this.found();
    const { words } = this.desk.filter;
    return html`<div class="seek">
      <input id="search" type="search" role="combobox" aria-expanded=${rows.length > 0} aria-controls="found" aria-activedescendant=${rows[this.at] ? `found-${this.at}` : undefined} autocomplete="off"
        placeholder=${`${t("console.search")}  /`} aria-label=${t("console.search")} value=${words} onInput=${(event) => {
          this.type(event.target.value);
          this.desk.narrow({ ...this.desk.filter, words: event.target.value });
        }} onKeyDown=${(event) => this.key(event)} onBlur=${() => setTimeout(() => {
          this.open = false;
          this.desk.touch();
        }, PAUSE_MS)} />
      <ul id="found" role="listbox" aria-label=${t("console.found")} hidden=${!rows.length}>${rows.map((row, i) => html`<li id=${`found-${i}`} key=${row.id} role="option" aria-selected=${i === this.at} onMouseDown=${() => this.go(row)}><small>${t(`console.noun.${row.noun}`)}</small><span>${row.words}</span><small class="n">${row.note}</small></li>`)}</ul>
    </div>`;
  }
}
