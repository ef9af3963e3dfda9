// The second right column of walls wider than 2.4 : 1: what is done about the incident of the card, and its cameras.

import { html } from "../lib/dom.mjs";
import { elapsed } from "../lib/format.mjs";
import { half } from "../lib/shapes.mjs";
import { name, t, told } from "../lib/text.mjs";

const LADDER = ["sent", "accepted", "en_route", "arrived", "handling", "finished"];

/** Crews on their way for an incident, one row each, and how far each has come. */
export function steps(incident, orders, crews, nowMs) {
  const mine = incident ? orders.filter((o) => o.incident === incident.id) : [];
  return html`<div class="panel steps">
    <header><h2>${t("wall.steps")}</h2><span>${incident ? told(incident.title) : ""}</span></header>
    ${!mine.length && html`<p class="empty">${t(incident ? "wall.no_orders" : "wall.no_incidents")}</p>`}
    ${mine.map((order) => {
      const at = LADDER.indexOf(order.state);
      const since = Date.parse(order.times?.[order.state] ?? order.created_at);
      return html`<div class="order" key=${order.id}>
        <h4>${name(crews.get(order.crew)?.name) || order.crew}</h4><b class="n">${elapsed((nowMs - since) / 1000)}</b>
        <ol>${LADDER.map((step, i) => html`<li class=${i < at ? "past" : i === at ? "now" : ""}></li>`)}</ol>
        <p>${t(`order.state.${order.state}`)}</p>
      </div>`;
    })}
  </div>`;
}

/** Cameras near the incident: GB/T 28181 ids; the picture comes with a video service. */
export function video(incident) {
  const cameras = incident?.cameras ?? [];
  return html`<div class="panel video">
    <header><h2>${t("wall.video")}</h2><span>${incident ? name(incident.place) : ""}</span></header>
    <div class="frames">${cameras.length
      ? cameras.slice(0, 2).map((camera) => html`<div class="frame" key=${camera.id}>${half}<p>${name(camera.name)}</p><p class="n">GB/T 28181 ${camera.id}</p></div>`)
      : html`<div class="frame">${half}<p>${t("wall.no_camera")}</p></div>`}</div>
  </div>`;
}
