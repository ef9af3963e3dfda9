// The device page: who speaks, who is silent, what each measures, and the last day of any of its channels.

import { get, path, send } from "../lib/api.mjs";
import { html } from "../lib/dom.mjs";
import { clock, date, hourMinute, measured, since } from "../lib/format.mjs";
import { half, shape } from "../lib/shapes.mjs";
import { name, t, titled } from "../lib/text.mjs";
import { refusal } from "./act.mjs";
import { chart } from "./chart.mjs";
import { Grid, Rows } from "./grid.mjs";

const DAY_MS = 86400000;
const SILENT = 9;
const FRAMES = 8;
const LETTERS = 5;
/** Bits of doubt on a reading, as in core/batch.py. */
const QUALITY = ["out_of_range", "late", "future", "clock_skew", "conflict", "unit_suspect", "spike", "rate", "stuck", "calibrating", "device_fault", "maintenance", "estimated", "no_event_time"];
/** What tells of the device itself. */
const OWN = new Set(["battery", "battery_voltage", "signal", "rssi", "temperature_inside"]);

/** One device in full: its channels with their last values, and the chosen channel's day. */
export class Shown {
  constructor(changed, now, may) {
    this.changed = changed;
    this.now = now;
    this.may = may;
    this.device = null;
    this.at = null;
  }

  async read(id) {
    this.wanted = id;
    if (this.device?.id !== id) this.series = null;
    const device = await get(path("devices", id)).catch(() => null);
    if (this.wanted !== id) return;
    Object.assign(this, { device, commands: [], letters: [] });
    this.changed();
    if (!device?.channels?.length) return;
    const values = await get(`/latest?${new URLSearchParams({ kind: device.kind, gateway: device.gateway })}`).catch(() => null);
    if (this.wanted !== id) return;
    this.latest = new Map((values?.device ?? []).map((each, i) => [each, values.channel[i], values.value[i], values.time[i], values.quality[i]]).filter(([each]) => each === id).map(([, channel, value, time, quality]) => [channel, { value, time, quality }]));
    await Promise.all([this.draw(device.channels[0].channel), this.#readAround(device)]);
  }

  /** What was ordered of the device, and what of its gateway was refused. */
  async #readAround(device) {
    const may = (action, ask) => (this.may.has(action) ? get(ask).catch(() => ({ items: [] })) : { items: [] });
    const [commands, letters] = await Promise.all([may("command.read", "/commands?limit=200"), may("dead_letter.read", `/dead-letters?${new URLSearchParams({ gateway: device.gateway, limit: String(LETTERS) })}`)]);
    if (this.wanted !== device.id) return;
    this.commands = commands.items.filter((each) => each.device === device.id);
    this.letters = letters.items;
    this.changed();
  }

  async command(form, desk) {
    const data = new FormData(form);
    await this.#tell(desk, send("POST", "/commands", { device: this.device.id, channel: data.get("channel"), value: Number(data.get("value")), reason: data.get("reason") }), t("console.proposed"));
  }

  async decide(command, action, desk) {
    await this.#tell(desk, send("POST", path("commands", command.id, "actions"), { action }), t(`console.command.${action}`));
  }

  async #tell(desk, sent, words) {
    try {
      await sent;
      desk.say(t("console.done", { what: words }));
    } catch (refused) {
      desk.say(refusal(refused, "command"), true);
    }
    await this.#readAround(this.device);
  }

  async draw(channel) {
    const id = this.wanted;
    const toMs = this.now();
    const fromMs = toMs - DAY_MS;
    const query = new URLSearchParams({ device: id, channel, from: new Date(fromMs).toISOString(), to: new Date(toMs).toISOString(), bucket: "raw", limit: "1000" });
    let series = await get(`/readings?${query}`).catch(() => null);
    if (series?.next) {
      query.set("bucket", "1m");
      series = await get(`/readings?${query}`).catch(() => series);
    }
    if (this.wanted !== id) return;
    this.series = series && { ...series, items: series.items.map((each) => ({ time: each.time, value: each.value ?? each.mean, quality: each.quality })), fromMs, toMs };
    this.changed();
  }
}

/** Fifty thousand rows are compared with what stands no more often than that. */
const PAUSE_MS = 2000;
const rows = new Rows();
let drawn = { changes: -1, ms: 0 };
const row = (levels) => (d) => {
  const level = levels.get(d.id) ?? 0;
  return { id: d.id, level, rank: rank(level), name: name(d.name), kind: kind(d), gateway: d.gateway, asset: d.asset ?? "", zone: d.zone ?? "", state: level === SILENT ? t("console.silent") : level ? t(`level.${level}`) : t("console.heard_of"), source: t(`provenance.${d.provenance}`) };
};

const columns = () => [
  { key: "rank", words: t("console.col.level"), wide: 90, sort: "desc", draw: ({ level }) => html`<span class="mark">${sign(level)}</span>`, headerClass: "", filter: null },
  { key: "name", words: t("console.col.device"), wide: 3, minWidth: 160 },
  { key: "id", words: t("console.col.id"), wide: 3, minWidth: 140, cellClass: "n" },
  { key: "kind", words: t("console.col.kind"), wide: 2, minWidth: 110 },
  { key: "state", words: t("console.col.state"), wide: 110 },
  { key: "gateway", words: t("console.col.gateway"), wide: 2, minWidth: 110, cellClass: "n" },
  { key: "asset", words: t("console.col.asset"), wide: 2, minWidth: 110, cellClass: "n" },
  { key: "source", words: t("console.col.provenance"), wide: 100 },
];

/** Those with standing alerts first, then the silent ones. `changes` counts what has changed of devices and levels. */
export function devicePage({ devices, levels, changes, filter, chosen, shown, desk, choose }) {
  if (changes !== drawn.changes && (devices.size !== rows.rows.length || desk.now() - drawn.ms > PAUSE_MS)) {
    drawn = { changes, ms: desk.now() };
    rows.of([...devices.values()], row(levels));
  }
  const found = rows.rows;
  return html`<section class="wide devices">
    <${Grid} name="devices" label=${t("console.devices")} empty=${t("console.no_devices")} columns=${columns()} rows=${found} words=${filter.words} chosen=${chosen} choose=${choose} desk=${desk}
      tools=${html`<span class="violet">${half} ${t("console.col.silent")} <b class="n">${found.filter(({ level }) => level === SILENT).length}</b></span>`} />
    ${detail(shown, desk)}
  </section>`;
}

const rank = (level) => (level === SILENT ? 1 : level ? 10 - level : 0);
const sign = (level) => (level === SILENT ? half : level ? shape(level, { title: t(`level.${level}`) }) : null);
const kind = (d) => titled("kind", d.kind);
const channelName = (channel) => titled("channel", channel.name ?? channel.channel);

/** The doubts of a reading in words. */
const doubts = (quality) => QUALITY.filter((_, bit) => (quality >> bit) & 1).map((doubt) => t(`console.quality.${doubt}`));

function detail(shown, desk) {
  const { device, series, latest } = shown;
  if (!device) return html`<aside class="detail"><p class="empty">${t("console.choose_device")}</p></aside>`;
  const point = series && `${device.id}/${series.channel}`;
  return html`<aside class="detail" aria-label=${name(device.name)}>
    <h2>${name(device.name)}</h2><p class="n">${[device.id, device.gateway, device.asset, device.zone].filter(Boolean).join(" · ")}</p>
    ${health(shown, desk)}
    <ul class="channels">${device.channels.filter(({ channel }) => !OWN.has(channel)).map((channel) => measure(channel, shown, desk))}</ul>
    ${series && chart({ ...series, label: channelName(device.channels.find((c) => c.channel === series.channel) ?? series), onset: null, limit: null }, shown.at, (at) => {
      shown.at = at;
      shown.changed();
    })}
    <div class="actions"><button onClick=${() => desk.showOnMap(device)}>${t("console.show")}</button>
      ${point && desk.may.has("screen.explore") && html`<a class="button" href=${`/explore?p=${encodeURIComponent(point)}&map=${encodeURIComponent(device.channels.find((c) => c.channel === series.channel)?.name ?? "")}&span=7d`} target="_blank" rel="noopener">${t("console.explore")} ↗</a>`}</div>
    ${series && frames(series)}
    ${orders(shown, desk)}
  </aside>`;
}

function measure(channel, shown, desk) {
  const last = shown.latest?.get(channel.channel);
  return html`<li key=${channel.channel}><button class="plain" aria-pressed=${shown.series?.channel === channel.channel} onClick=${() => shown.draw(channel.channel)}>${channelName(channel)}</button>
    <b class="n">${last ? measured(last.value) : "—"} <small>${channel.unit}</small></b><small>${last ? since(Date.parse(last.time), desk.now()) : t("wall.no_data")}${last?.quality ? html` <em class="violet">${doubts(last.quality).join(t("wall.comma"))}</em>` : ""}</small></li>`;
}

/** When it was heard, how much of what it says is sound, its battery and the like. */
function health(shown, desk) {
  const { device, latest } = shown;
  const said = [...(latest?.values() ?? [])];
  const heardMs = Math.max(...said.map(({ time }) => Date.parse(time)), -Infinity);
  const sound = said.filter(({ quality }) => !quality).length;
  const silent = desk.deviceLevels.get(device.id) === SILENT;
  return html`<dl class="said health">
    <dt>${t("console.health")}</dt><dd class=${silent ? "violet" : ""}>${silent ? html`${half} ` : ""}${heardMs > 0 ? t("console.heard", { age: since(heardMs, desk.now()) }) : t("wall.no_data")}</dd>
    <dt>${t("console.sound")}</dt><dd>${t("console.sound_of", { n: sound, of: device.channels.length })}</dd>
    ${device.channels.filter(({ channel }) => OWN.has(channel)).map((channel) => html`<dt>${channelName(channel)}</dt><dd class="n">${latest?.get(channel.channel) ? `${measured(latest.get(channel.channel).value)} ${channel.unit}` : "—"}</dd>`)}
  </dl>`;
}

/** The newest readings as they came. */
function frames({ items }) {
  const last = items.slice(-FRAMES).reverse();
  return html`<h3>${t("console.frames")}</h3><table class="frames"><tbody>${last.map(({ time, value, quality }) => html`<tr key=${time}><td class="n">${clock(Date.parse(time))}</td><td class="n">${measured(value)}</td><td>${quality ? html`<em class="violet">${doubts(quality).join(t("wall.comma"))}</em>` : ""}</td></tr>`)}</tbody></table>`;
}

function orders(shown, desk) {
  const { commands, letters, device } = shown;
  return html`${letters?.length > 0 && html`<h3>${t("console.refused")}</h3><ul>${letters.map((letter) => html`<li key=${letter.id}><span class="n">${clock(Date.parse(letter.at))}</span> ${letter.reason} <small>${letter.detail}</small></li>`)}</ul>`}
    ${(commands?.length > 0 || desk.may.has("command.propose")) && html`<h3>${t("console.commands")}</h3>`}
    <ol class="notes">${(commands ?? []).map((command) => {
      const ms = Date.parse(command.created_at);
      return html`<li key=${command.id}><b class="n">${date(ms)} ${hourMinute(ms)}</b> ${command.channel} = <span class="n">${measured(command.value)}</span> <span class="chip">${t(`console.command.state.${command.state}`)}</span> ${command.reason}
        ${desk.may.has("command.confirm") && command.allowed.map((action) => html` <button onClick=${() => shown.decide(command, action, desk)}>${t(`console.command.${action}`)}</button>`)}</li>`;
    })}</ol>
    ${desk.may.has("command.propose") && html`<form class="actions" onSubmit=${(event) => {
      event.preventDefault();
      shown.command(event.target, desk);
    }}><select name="channel" aria-label=${t("console.col.kind")}>${device.channels.map((channel) => html`<option value=${channel.channel}>${channelName(channel)}</option>`)}</select>
      <input name="value" type="number" step="any" required aria-label=${t("console.col.value")} placeholder=${t("console.col.value")} />
      <input name="reason" required maxlength="400" aria-label=${t("console.field.reason")} placeholder=${t("console.field.reason")} /><button>${t("console.propose")}</button></form>`}`;
}
