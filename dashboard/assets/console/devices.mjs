// The device page: who speaks, who is silent, what each measures, and the last day of any of its channels.

import { get, path } from "../lib/api.mjs";
import { html } from "../lib/dom.mjs";
import { measured, since } from "../lib/format.mjs";
import { half, shape } from "../lib/shapes.mjs";
import { name, t, titled } from "../lib/text.mjs";
import { chart } from "./chart.mjs";
import { Rows } from "./rows.mjs";

const ROW_PX = 44;
const DAY_MS = 86400000;
const SILENT = 9;

/** One device in full: its channels with their last values, and the chosen channel's day. */
export class Shown {
  constructor(changed, now) {
    this.changed = changed;
    this.now = now;
    this.device = null;
    this.at = null;
  }

  async read(id) {
    this.wanted = id;
    if (this.device?.id !== id) this.series = null;
    const device = await get(path("devices", id)).catch(() => null);
    if (this.wanted !== id) return;
    this.device = device;
    this.changed();
    if (!device?.channels?.length) return;
    const values = await get(`/latest?${new URLSearchParams({ kind: device.kind, gateway: device.gateway })}`).catch(() => null);
    if (this.wanted !== id) return;
    this.latest = new Map((values?.device ?? []).map((each, i) => [each, values.channel[i], values.value[i], values.time[i]]).filter(([each]) => each === id).map(([, channel, value, time]) => [channel, { value, time }]));
    await this.draw(device.channels[0].channel);
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
    this.series = series && { ...series, items: series.items.map((each) => ({ time: each.time, value: each.value ?? each.mean })), fromMs, toMs };
    this.changed();
  }
}

/** The devices of the list: those with standing alerts first, then the silent ones. */
export function sorted(devices, levels, filter) {
  const sought = filter.words.trim().toLowerCase();
  return [...devices.values()]
    .filter((d) => !sought || [d.id, name(d.name), d.asset, kind(d)].join(" ").toLowerCase().includes(sought))
    .sort((a, b) => rank(levels.get(b.id)) - rank(levels.get(a.id)) || a.id.localeCompare(b.id));
}

export function devicePage({ rows, levels, chosen, shown, desk, choose }) {
  const silent = rows.filter((d) => levels.get(d.id) === SILENT).length;
  return html`<section class="wide devices">
    <div class="table">
      <p class="columns"><span></span><span>${t("console.col.device")} ${rows.length}</span><span>${t("console.col.kind")}</span><span>${t("console.col.silent")} ${silent}</span></p>
      <${Rows} items=${rows} height=${ROW_PX} label=${t("console.devices")} empty=${t("console.no_devices")} at=${rows.findIndex((d) => d.id === chosen)} active=${chosen ? `device-${chosen}` : ""}
        row=${(d) => html`<div id=${`device-${d.id}`} role="option" aria-selected=${d.id === chosen} class="device" onClick=${() => choose(d.id)}>
          <span class="mark">${sign(levels.get(d.id))}</span><span>${name(d.name)}<small>${d.id}</small></span><span>${kind(d)}</span><span>${levels.get(d.id) === SILENT ? t("console.silent") : t(`provenance.${d.provenance}`)}</span>
        </div>`} />
    </div>
    ${detail(shown, desk)}
  </section>`;
}

const rank = (level) => (level === SILENT ? 1 : level ? 10 - level : 0);
const sign = (level) => (level === SILENT ? half : level ? shape(level, { title: t(`level.${level}`) }) : null);
const kind = (d) => titled("kind", d.kind);
const channelName = (channel) => titled("channel", channel.name ?? channel.channel);

function detail(shown, desk) {
  const { device, series, latest } = shown;
  if (!device) return html`<aside class="detail"><p class="empty">${t("console.choose_device")}</p></aside>`;
  return html`<aside class="detail">
    <h2>${name(device.name)}</h2><p class="n">${[device.id, device.gateway, device.asset, device.zone].filter(Boolean).join(" · ")}</p>
    <ul class="channels">${device.channels.map((channel) => {
      const last = latest?.get(channel.channel);
      return html`<li key=${channel.channel}><button class="plain" aria-pressed=${series?.channel === channel.channel} onClick=${() => shown.draw(channel.channel)}>${channelName(channel)}</button>
        <b class="n">${last ? measured(last.value) : "—"} <small>${channel.unit}</small></b><small>${last ? since(Date.parse(last.time), desk.now()) : t("wall.no_data")}</small></li>`;
    })}</ul>
    ${series && chart({ ...series, label: channelName(device.channels.find((c) => c.channel === series.channel) ?? series), onset: null, limit: null }, shown.at, (at) => {
      shown.at = at;
      shown.changed();
    })}
    <div class="actions"><button onClick=${() => desk.showOnMap(device)}>${t("console.show")}</button></div>
  </aside>`;
}
