// The part of the analysis page that Dash does not draw: the map over time, and what leaves the house (link, pictures).
// The address is the state: what is chosen here is put into it, and Dash draws the lines that it names.

import { get } from "../lib/api.mjs";
import { html, render } from "../lib/dom.mjs";
import { ZONE, age, date, hourMinute, measured } from "../lib/format.mjs";
import { asked, language, load, name, t, titled } from "../lib/text.mjs";
import { TimeMap } from "./map.mjs";

const PLAY_MS = 700;
const SETTLE_MS = 400;
const BARE = new Set(["1", "count"]);

class Then {
  constructor(root, setup) {
    this.root = root;
    this.setup = setup;
    this.step = -1;
    this.map = new TimeMap((point) => this.#compare(point));
    this.draw();
    this.#startMap();
    addEventListener("popstate", () => this.read());
    addEventListener("_dashprivate_pushstate", () => this.read());
    this.read();
  }

  async #startMap() {
    if (!this.setup.map) return;
    const theme = document.documentElement.dataset.theme ?? "dark";
    const style = await get(`${this.setup.map.style.replace("/api/v1", "").replace(/scale=[\d.]+/, "scale=2.2").replace(/pitch=\d+/, "pitch=0")}&theme=${theme}`);
    await this.map.start(this.root.querySelector(".map"), { ...this.setup.map, style });
    this.#paint();
    this.map.map.once("idle", () => (this.root.dataset.map = "ready"));
  }

  /** What the address asks for: read anew when the time or the quantity changed. */
  async read() {
    const query = new URLSearchParams(location.search);
    const asked = ["span", "from", "to"].filter((key) => query.has(key)).map((key) => [key, query.get(key)]);
    const wanted = new URLSearchParams([...asked, ["channel", query.get("map") ?? ""]]).toString();
    if (wanted === this.wanted) return;
    this.wanted = wanted;
    const found = await get(`/explore/map?${wanted}`).catch(() => null);
    if (this.wanted !== wanted) return;
    this.found = found;
    const at = Date.parse(query.get("at"));
    this.ms = (found?.times ?? []).map((time) => Date.parse(time));
    this.step = this.ms.length - 1;
    if (at) this.step = Math.max(0, this.ms.findLastIndex((ms) => ms <= at));
    this.map.use(found);
    this.#paint();
  }

  #paint() {
    this.map.show(this.found?.values?.[this.step]);
    this.draw();
  }

  to(step) {
    this.step = step;
    this.#paint();
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.#put({ at: new Date(this.ms[step]).toISOString().replace(".000", "") }), SETTLE_MS);
  }

  play() {
    if (this.playing) {
      clearInterval(this.playing);
      this.playing = null;
    } else {
      this.playing = setInterval(() => {
        this.step = (this.step + 1) % this.ms.length;
        this.#paint();
      }, PLAY_MS);
    }
    this.draw();
  }

  #compare(point) {
    const query = new URLSearchParams(location.search);
    if (query.getAll("p").includes(point)) return;
    query.append("p", point);
    address(query);
  }

  #put(values) {
    const query = new URLSearchParams(location.search);
    for (const [key, value] of Object.entries(values)) query.set(key, value);
    address(query);
  }

  draw() {
    const { found, ms, step } = this;
    const unit = found && !BARE.has(found.unit) ? found.unit : "";
    const here = ms?.[step];
    render(html`<header>
        <h2>${t("explore.then")}</h2>
        ${found?.channels?.length > 0 && html`<select aria-label=${t("explore.quantity")} onChange=${(event) => this.#put({ map: event.target.value })}>
          ${found.channels.map(({ name: full, n }) => html`<option key=${full} value=${full} selected=${full === found.channel}>${titled("channel", full)} (${n})</option>`)}</select>`}
        ${here && html`<p class="n">${date(here)} <b>${hourMinute(here)}</b> <small>${t("explore.step", { age: age(found.step_s) })}</small></p>`}
        <span class="grow"></span>
        <button onClick=${() => this.picture()}>${t("explore.png")}</button>
      </header>
      <div class="map" key="map"></div>
      ${ms?.length > 1 && html`<footer>
        <button class="play" aria-pressed=${Boolean(this.playing)} onClick=${() => this.play()}>${t(this.playing ? "explore.pause" : "explore.play")}</button>
        <input type="range" min="0" max=${ms.length - 1} step="1" value=${step} aria-label=${t("explore.slider")} aria-valuetext=${here ? `${date(here)} ${hourMinute(here)}` : ""} onInput=${(event) => this.to(Number(event.target.value))} />
        <p class="scale"><span class="n">${measured(this.map.low)}</span><i></i><span class="n">${measured(this.map.high)} ${unit}</span><span class="gap">${t("explore.gap")}</span></p>
      </footer>`}
      ${found && !ms?.length && html`<p class="empty">${t("explore.empty_map")}</p>`}`, this.root);
  }

  async picture() {
    const { found, ms, step } = this;
    const what = `${name(this.setup.city)} · ${found ? titled("channel", found.channel) : ""} · ${date(ms[step])} ${hourMinute(ms[step])} · ${this.setup.map?.name ?? ""}`;
    save(await this.map.picture(what), "cityops-map.png");
  }
}

/** Dash owns the address: it is told, so that the lines follow. */
function address(query) {
  const search = `?${query.toString().replaceAll("%2F", "/").replaceAll("%3A", ":")}`;
  window.dash_clientside.set_props("explore-address", { search });
}

function save(url, file) {
  const link = Object.assign(document.createElement("a"), { href: url, download: file });
  link.click();
}

async function chartPicture() {
  const chart = document.querySelector("#explore-chart .js-plotly-plot");
  if (chart) save(await window.Plotly.toImage(chart, { format: "png", width: 1600, height: 900, scale: 2 }), "cityops-chart.png");
}

async function copyLink(button) {
  await navigator.clipboard?.writeText(location.href).catch(() => {});
  const words = button.textContent;
  button.textContent = t("explore.copied");
  setTimeout(() => (button.textContent = words), 2000);
}

export async function mount(root) {
  await load(asked());
  const setup = await get("/explore");
  ZONE.name = setup.timezone;
  const theme = new URLSearchParams(location.search).get("theme");
  if (theme === "light") document.documentElement.dataset.theme = theme;
  document.getElementById("explore-png").addEventListener("click", chartPicture);
  document.getElementById("explore-link").addEventListener("click", (event) => copyLink(event.target));
  document.getElementById("explore-language").addEventListener("click", (event) => {
    event.preventDefault();
    const query = new URLSearchParams(location.search);
    query.set("lang", language === "zh" ? "en" : "zh");
    location.search = query;
  });
  window.cityopsExplore = new Then(root.querySelector("#explore-then"), setup);
}
