// Foot: can I trust this picture? Data age, sensors online, stale sources, base map, provenance; violet when cut off.

import { html } from "../lib/dom.mjs";
import { age, clock, hourMinute, number } from "../lib/format.mjs";
import { half } from "../lib/shapes.mjs";
import { language, name, t, told } from "../lib/text.mjs";

export function foot({ status, connected, lostMs, tries, nowMs, map, approval, code, mute }) {
  if (!connected && status) return cutOff({ lostMs, tries, nowMs, code });
  if (!status) return html`<div class="foot"></div>`;
  const { sensors, stale = [], delay_s: delay, provenance = [], shift, shelved } = status;
  return html`<div class="foot">
    <span class=${delay > 10 ? "bad" : "good"}>${t("wall.link", { s: delay === null || delay === undefined ? "—" : delay < 10 ? delay.toFixed(1) : age(delay) })}</span>
    <span>${t("wall.sensors")} <b class="n">${number(sensors?.online)} / ${number(sensors?.total)}</b></span>
    ${status.database === "away" && html`<span class="violet">${half} ${t("wall.database_away")}</span>`}
    ${stale.length > 0 && html`<span class="violet cut">${half} ${t("wall.stale_sources", { n: stale.length, names: stale.slice(0, 3).map(told).join(t("wall.comma")) })}</span>`}
    ${provenance.length > 0 && html`<span class="scene">${t("wall.scene", { what: provenance.map((p) => t(`provenance.${p}`)).join(" + ") })}</span>`}
    <span class="cut grow">${!map ? "" : map.name ? t("wall.basemap", { name: map.name, date: map.date }) : t("wall.no_basemap")}${approval ? ` · ${t("wall.approval", { number: approval })}` : ""}</span>
    ${shelved > 0 && html`<span>${t("wall.shelved", { n: number(shelved) })}</span>`}
    ${mute && html`<span class="violet">${t("wall.muted", { ...mute, until: hourMinute(Date.parse(mute.until)) })}</span>`}
    ${shift && html`<span>${t("wall.shift", { name: name(shift) })}</span>`}
    <span><a class="language" href=${other()}><em>${language === "zh" ? "中文" : "EN"}</em> | ${language === "zh" ? "EN" : "中文"}</a></span>
  </div>`;
}

function other() {
  const address = new URL(location.href);
  address.searchParams.set("lang", language === "zh" ? "en" : "zh");
  return address.pathname + address.search;
}

function cutOff({ lostMs, tries, nowMs, code }) {
  return html`<div class="foot cutoff">
    <span>${half} ${code ? t("wall.not_allowed") : lostMs ? t("wall.cut_off", { s: Math.round((nowMs - lostMs) / 1000) }) : t("wall.never_connected")}</span>
    <b>${lostMs ? t("wall.last_data", { time: clock(lostMs) }) : ""}</b>
    <span>${t("wall.reconnect", { n: tries })}</span>
  </div>`;
}
