// The responder's page: my orders, and for the one in hand a single big button that is always the next step.

import { html, render } from "../lib/dom.mjs";
import { clock, elapsed, measured, since } from "../lib/format.mjs";
import { shape } from "../lib/shapes.mjs";
import { asked, language, load, name, t, told } from "../lib/text.mjs";
import { Outbox } from "./outbox.mjs";

const ASK_MS = 5000;
/** state of an order → the action that is next. */
const NEXT = { sent: "accept", accepted: "depart", en_route: "arrive", arrived: "handle", handling: "finish" };
const AFTER = { accept: "accepted", depart: "en_route", arrive: "arrived", handle: "handling", finish: "finished" };
const STEPS = ["accept", "depart", "arrive", "handle", "finish"];

const state = { orders: null, chosen: null };
let outbox;

/** The order as it will be when everything that waits was taken: the phone never asks for the same step twice. */
function foreseen(order) {
  const ahead = outbox.waiting(order.id).reverse();
  return ahead.reduce((now, each) => ({ ...now, state: AFTER[each.action] ?? now.state }), order);
}

const FINISHED_STAYS_MS = 3600000;

async function get(path) {
  const answer = await fetch(`/api/v1${path}`, { signal: AbortSignal.timeout(10000) });
  if (answer.status === 401) location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
  if (!answer.ok) throw new Error(answer.statusText);
  return answer.json();
}

const isMine = (order) => order.state in NEXT || (order.state === "finished" && Date.now() - Date.parse(order.times.finished) < FINISHED_STAYS_MS);

/** My orders, each with what its case says. */
async function ask() {
  try {
    const { items } = await get(`/orders?limit=50&lang=${language}`);
    state.orders = await Promise.all(items.filter(isMine).map((each) => get(`/orders/${encodeURIComponent(each.id)}?lang=${language}`)));
    outbox.offline = false;
  } catch {
    outbox.offline = true;
  }
  draw();
}

async function act(order, action, fields) {
  state.chosen = order.id;
  await outbox.put(order.id, action, fields);
  await ask();
}

function page() {
  if (!state.orders) return html`<main><p class="quiet">${outbox.offline ? t("responder.no_link") : t("wall.loading")}</p></main>`;
  const orders = state.orders.map(foreseen);
  const open = orders.filter((each) => each.state in NEXT);
  const chosen = orders.find((each) => each.id === state.chosen) ?? open[0];
  return html`
    <header><h1>${crew()}</h1>${link()}</header>
    ${!isSecureContext && html`<p class="hint">${t("responder.plain_http")}</p>`}
    <main>
      ${chosen ? card(chosen) : html`<p class="quiet">${t("responder.nothing")}</p>`}
      ${open.length > 1 && html`<h2>${t("responder.others")}</h2>${open.filter((each) => each !== chosen).map(entry)}`}
      ${log(chosen)}
    </main>`;
}

const crew = () => state.crew || t("page.responder");

function link() {
  const waiting = outbox.waiting().length;
  if (outbox.offline) return html`<span class="link off" role="status">${t("responder.offline", { n: waiting })}</span>`;
  if (waiting) return html`<span class="link off" role="status">${t("responder.unsent", { n: waiting })}</span>`;
  return html`<span class="link" role="status">${t("responder.online")}</span>`;
}

function card(order) {
  const next = NEXT[order.state];
  const last = outbox.entries.find((each) => each.order === order.id);
  const due = order.arrive_by ? Date.parse(order.arrive_by) : null;
  const left = due === null ? null : (due - Date.now()) / 1000;
  const before = ["sent", "accepted", "en_route"].includes(order.state);
  return html`
    <article class=${`l${order.level}`}>
      <h2>${shape(order.level, { title: t(`level.${order.level}`) })}<span>${told(order.title) || order.number}</span></h2>
      <p class="place">${name(order.place)}</p>
      ${order.provenance !== "real" && html`<p class="origin">${t(`provenance.${order.provenance}`)}</p>`}
      ${before && left !== null && html`<p class=${`due ${left < 0 ? "late" : ""}`}><span>${t(left < 0 ? "responder.late" : "responder.left")}</span><b class="n">${elapsed(Math.abs(left))}</b></p>`}
      ${steps(order)}
    </article>
    ${last?.state === "refused" && refusal(last.problem)}
    ${next && html`<button class="primary" onClick=${() => act(order, next)}>${t(`responder.do_${next}`)}</button>`}
    ${order.state === "finished" && html`<p class="done">${t("responder.done")}</p>`}
    <div class="more">
      ${order.lon !== null && order.lon !== undefined && html`<a class="button" href=${`geo:${order.lat},${order.lon}`}>${t("responder.route")}</a>`}
      ${["accepted", "en_route", "arrived", "handling"].includes(order.state) && !order.support && html`<button onClick=${() => act(order, "request_support")}>${t("responder.support")}</button>`}
      ${["sent", "accepted"].includes(order.state) && html`<button onClick=${() => refuse(order)}>${t("responder.refuse")}</button>`}
    </div>`;
}

function refuse(order) {
  const reason = prompt(t("responder.why"));
  if (reason?.trim()) act(order, "refuse", { reason: reason.trim() });
}

function steps(order) {
  const at = order.state === "finished" ? STEPS.length : STEPS.indexOf(NEXT[order.state]);
  return html`<ol>${STEPS.map((step, i) => html`<li class=${i < at ? "past" : i === at ? "now" : ""} aria-current=${i === at ? "step" : null}><i></i>${t(`responder.step_${step}`)}</li>`)}</ol>`;
}

/** What the centre said no to, and the readings that object. */
function refusal({ title, objections = [] }) {
  return html`<section class="refusal" role="alert">
    <h3>${title ?? t("error.failed")}</h3>
    <ul>${objections.map((each) => html`<li><span>${name(each.name) || each.device}</span><b class="n">${said(each)}</b><small>${wanted(each)}</small></li>`)}</ul>
    <p>${t("responder.go_on")}</p>
  </section>`;
}

const said = ({ value, unit }) => (value === null ? t("wall.no_data") : `${measured(value)} ${unit}`);

const SIGNS = { "<=": "≤", ">=": "≥", "=": "=" };

/** What the reading should be, and when it was said. */
function wanted({ comparison, limit, unit, time }) {
  const sign = SIGNS[comparison];
  const range = sign ? `${sign} ${measured(limit)}` : `${measured(limit)} ${comparison}`;
  const should = limit === null ? "" : t("responder.should", { range: `${range} ${unit}` });
  return [should, time && since(Date.parse(time), Date.now())].filter(Boolean).join(" · ");
}

const entry = (order) => html`<button class=${`entry l${order.level}`} key=${order.id} onClick=${() => ((state.chosen = order.id), draw())}>
  ${shape(order.level, { title: t(`level.${order.level}`) })}<span>${told(order.title) || order.number}</span><small>${t(`responder.step_${NEXT[order.state]}`)}</small></button>`;

function log(order) {
  const mine = order ? outbox.entries.filter((each) => each.order === order.id) : [];
  return html`<ul class="log">${mine.map(
    (each) => html`<li key=${each.key}><span>${t(`responder.log_${each.action}`)}</span>
      <span class=${each.state}>${t(`responder.state_${each.state}`)} <b class="n">${clock(each.answeredMs ?? each.atMs)}</b></span></li>`,
  )}</ul>`;
}

function draw() {
  render(page(), document.getElementById("responder"));
}

function shade() {
  const light = matchMedia("(prefers-color-scheme: light)");
  const use = () => (document.documentElement.dataset.theme = light.matches ? "light" : "dark");
  light.addEventListener("change", use);
  use();
}

async function start() {
  shade();
  await load(asked());
  document.title = t("page.responder");
  const me = await fetch("/api/v1/auth/me").then((answer) => (answer.ok ? answer.json() : {})).catch(() => ({}));
  state.crew = me.name;
  outbox = new Outbox(me.id ?? "nobody", draw);
  draw();
  await outbox.open();
  await ask();
  setInterval(ask, ASK_MS);
  setInterval(draw, 1000);
}

start();
