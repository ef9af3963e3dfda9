// Today against the same weekday: each hour of today, and the median of that hour on the last weeks' same day.

import { html } from "../lib/dom.mjs";
import { number } from "../lib/format.mjs";
import { t } from "../lib/text.mjs";
import { shown, unit } from "../wall/vitals.mjs";

const W = 120;
const H = 44;
const PAD = 4;

/** `rows` of `/vitals/weekday`; `vitals` by id, for names, digits and units. */
export function weekdays(rows, vitals) {
  const days = Math.max(0, ...rows.map((row) => row.days));
  return html`<section class="weekdays"><h2>${t("cockpit.weekday")} <small>${days > 0 && t("cockpit.weeks", { n: days })}</small></h2>
    ${!rows.length && html`<p class="empty">${t("console.reading")}</p>`}
    <ol>${rows.filter(({ id }) => vitals.has(id)).map((row) => line(row, vitals.get(row.id)))}</ol></section>`;
}

function line(row, vital) {
  const at = row.today.findLastIndex((value, hour) => value !== null && row.before[hour] !== null);
  const before = at < 0 ? null : row.before[at];
  const change = before ? Math.round((100 * (row.today[at] - before)) / Math.abs(before)) : null;
  return html`<li key=${row.id}>
    <span><b>${t(`vital.${row.id}.name`)}</b><small>${before === null ? t("cockpit.no_weekday") : t("cockpit.before", { value: number(before, vital.digits) })}</small></span>
    ${curve(row)}
    <span class="now"><b class="n">${vital.value === null ? "—" : shown(vital)}<small>${unit(vital)}</small></b><small class="n">${change === null ? "" : change === 0 ? t("cockpit.as_before") : `${change > 0 ? "+" : "−"}${Math.abs(change)}%`}</small></span></li>`;
}

/** 24 hours: what was grey and dashed, today bold up to now. */
function curve({ today, before }) {
  const known = [...today, ...before].filter((value) => value !== null);
  if (known.length < 2) return html`<svg class="curve" viewBox="0 0 ${W} ${H}"></svg>`;
  const [least, most] = [Math.min(0, ...known), Math.max(...known)];
  const x = (hour) => PAD + (hour * (W - 2 * PAD)) / 23;
  const y = (value) => H - PAD - ((value - least) / (most - least || 1)) * (H - 2 * PAD);
  const path = (values) => values.map((value, hour) => (value === null ? "" : `${hour && values[hour - 1] !== null ? "L" : "M"}${x(hour).toFixed(1)} ${y(value).toFixed(1)}`)).join("");
  const last = today.findLastIndex((value) => value !== null);
  return html`<svg class="curve" viewBox="0 0 ${W} ${H}" aria-hidden="true"><path class="before" d=${path(before)} /><path class="today" d=${path(today)} />
    ${last >= 0 && html`<circle cx=${x(last)} cy=${y(today[last])} r="3.2" />`}</svg>`;
}
