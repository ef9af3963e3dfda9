// Cases and orders as tables: everything that was opened, what stands as the stream tells it.

import { all } from "../lib/api.mjs";
import { html } from "../lib/dom.mjs";
import { has, name, t, titled, told } from "../lib/text.mjs";
import { actionsOf } from "./act.mjs";
import { Grid, Rows } from "./grid.mjs";
import { provenance } from "./queue.mjs";

const MOST = 50000;
const OVER = { cases: new Set(["closed", "refused", "void"]), orders: new Set(["finished", "refused", "recalled", "expired"]) };
const words = (prefix, id) => (has(`${prefix}.${id}`) ? t(`${prefix}.${id}`) : (id ?? ""));

/** All cases or all orders: read once, and from then on as the stream changes them. */
export class Work {
  constructor(noun, changed) {
    Object.assign(this, { noun, changed, items: new Map(), rows: new Rows() });
  }

  async read() {
    const found = await all(`/${this.noun}`, MOST).catch(() => []);
    this.items = new Map(found.map((each) => [each.id, each]));
    this.changed();
  }

  /** Newest first. */
  list(live) {
    for (const each of live) this.items.set(each.id, each);
    return [...this.items.values()].sort((a, b) => (a.created_at < b.created_at ? 1 : -1));
  }
}

const caseRow = (c) => ({
  id: c.id, level: c.level, number: c.number ?? "", title: told(c.title), state: t(`case.state.${c.state}`), lead: words("department", c.lead),
  domain: titled("domain", c.domain), place: name(c.place), due: OVER.cases.has(c.state) ? NaN : Date.parse(c.due_at ?? ""), created: Date.parse(c.created_at),
  reworks: c.reworks, source: provenance(c), over: OVER.cases.has(c.state), waiting: c.light === "red",
});
const orderRow = (crews) => (o) => ({
  id: o.id, level: o.level, number: o.number ?? "", crew: name(crews.get(o.crew)?.name) || o.crew, task: words("task", o.task), state: t(`order.state.${o.state}`),
  department: words("department", o.department), place: name(o.place), arrive: ["proposed", "sent", "accepted", "en_route"].includes(o.state) ? Date.parse(o.arrive_by ?? "") : NaN,
  created: Date.parse(o.created_at), source: provenance(o), over: OVER.orders.has(o.state), waiting: o.late,
});

const COLUMNS = {
  cases: () => [
    { key: "level", words: t("console.col.level"), kind: "level", wide: 90 },
    { key: "number", words: t("console.col.number"), wide: 190, cellClass: "n" },
    { key: "title", words: t("console.noun.case"), wide: 3, minWidth: 180 },
    { key: "place", words: t("console.col.place"), wide: 3, minWidth: 160 },
    { key: "state", words: t("console.col.state"), wide: 130 },
    { key: "lead", words: t("console.field.lead"), wide: 2, minWidth: 140 },
    { key: "due", words: t("console.col.due"), kind: "left", wide: 130 },
    { key: "reworks", words: t("console.col.reworks"), kind: "number", wide: 100 },
    { key: "created", words: t("console.col.at"), kind: "time", wide: 180 },
    { key: "source", words: t("console.col.provenance"), wide: 110 },
  ],
  orders: () => [
    { key: "level", words: t("console.col.level"), kind: "level", wide: 90 },
    { key: "number", words: t("console.col.number"), wide: 190, cellClass: "n" },
    { key: "crew", words: t("console.noun.crew"), wide: 3, minWidth: 180 },
    { key: "place", words: t("console.col.place"), wide: 3, minWidth: 160 },
    { key: "state", words: t("console.col.state"), wide: 130 },
    { key: "department", words: t("console.col.department"), wide: 2, minWidth: 140 },
    { key: "arrive", words: t("console.col.arrive"), kind: "left", wide: 130 },
    { key: "created", words: t("console.col.at"), kind: "time", wide: 180 },
    { key: "source", words: t("console.col.provenance"), wide: 110 },
  ],
};

export function workPage({ work, live, filter, chosen, crews, desk, choose }) {
  const { noun } = work;
  const one = noun === "cases" ? "case" : "order";
  const found = work.list(live).filter((each) => !filter.levels.size || filter.levels.has(each.level));
  const picked = work.items.get(chosen);
  const incident = picked?.incident;
  return html`<section class="wide">
    <${Grid} key=${noun} name=${noun} label=${t(`console.${noun}`)} empty=${t("console.none")} columns=${COLUMNS[noun]()} rows=${work.rows.of(found, noun === "cases" ? caseRow : orderRow(crews))} words=${filter.words} chosen=${chosen} choose=${choose} desk=${desk} />
    <footer class="actions">${picked ? html`<b>${[picked.number, told(picked.title) || name(crews.get(picked.crew)?.name)].filter(Boolean).join(" · ")}</b>
      ${actionsOf(one, picked, desk.may).map((action) => html`<button key=${action} onClick=${() => desk.act(one, picked, action)}>${t(`${one}.action.${action}`)}</button>`)}
      ${incident && html`<button onClick=${() => desk.open("incidents", incident)}>${t("console.its_incident")}</button>`}
      ${noun === "orders" && html`<button onClick=${() => desk.open("cases", picked.case)}>${t("console.its_case")}</button>`}
      <a class="button" href=${`/case/${encodeURIComponent(noun === "cases" ? picked.id : picked.case)}`} target="_blank" rel="noopener">${t("console.papers")} ↗</a>` : html`<span>${t("console.choose_row")}</span>`}</footer>
  </section>`;
}
