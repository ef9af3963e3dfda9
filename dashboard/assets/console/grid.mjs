// A table of the console: AG Grid in our colours and words. It comes over the network with the first view that has one.
// Order, widths and sorting of the columns stay with the person; filters do not, or they would hide things tomorrow.

import { Component, html, render } from "../lib/dom.mjs";
import { clock, date, elapsed, measured, number, span } from "../lib/format.mjs";
import { shape } from "../lib/shapes.mjs";
import { has, t } from "../lib/text.mjs";

const ROW_PX = 34;
const HEAD_PX = 34;
const TICK_MS = 1000;
const PAPER = [["beforeprint", "print"], ["afterprint", "normal"]];
const MOST_ON_PAPER = 1000;
const KEPT = ["columnOrder", "columnSizing", "sort", "columnVisibility"];
/** What a spreadsheet would take for a formula. */
const FORMULA = /^[=+\-@\t\r]/;

const stamp = (ms) => (Number.isFinite(ms) ? `${date(ms)} ${clock(ms)}` : "");
const iso = (ms) => (Number.isFinite(ms) ? new Date(ms).toISOString().replace(".000", "") : "");
const drawn = (vnode) => {
  const box = document.createElement("span");
  render(vnode, box);
  return box;
};

const RIGHT = ["n", "ag-right-aligned-cell"];

/** What a column holds decides how it is shown, sorted, filtered and exported. `level`: 1–4; times are ms. */
const KINDS = {
  text: () => ({ filter: "agTextColumnFilter" }),
  number: () => ({ cellClass: RIGHT, type: "rightAligned", filter: "agNumberColumnFilter", valueFormatter: ({ value }) => measured(value) }),
  time: () => ({ cellClass: "n", filter: "agTextColumnFilter", filterValueGetter: ({ data, colDef }) => stamp(data[colDef.field]), valueFormatter: ({ value }) => stamp(value) }),
  level: () => ({ filter: "agNumberColumnFilter", cellRenderer: ({ value }) => value && drawn(shape(value, { title: t(`level.${value}`) })) }),
  elapsed: (desk) => ({ cellClass: RIGHT, type: "rightAligned", filter: null, valueFormatter: ({ value }) => (Number.isFinite(value) ? elapsed((desk.now() - value) / 1000) : "") }),
  left: (desk) => ({ cellClass: RIGHT, type: "rightAligned", filter: null, valueFormatter: ({ value }) => (Number.isFinite(value) ? left((value - desk.now()) / 1000) : "") }),
};
const MOVING = new Set(["elapsed", "left"]);
const TIMES = new Set(["time", "elapsed", "left"]);
const left = (s) => (s < 0 ? t("wall.over", { time: span(-s) }) : t("wall.left", { time: span(s) }));

/** `columns` = [{key, words, kind, wide, draw(row) → vnode, …}]; `rows` = objects with an id, the same object while nothing
 * changed; `choose(id)`; `words` narrows to rows that hold all of them; `tools` = what stands beside the export;
 * `desk` = {now(), setup.user}; while the table is there, it is `desk.grid`. */
export class Grid extends Component {
  state = { shown: 0 };
  gone = new AbortController();

  async componentDidMount() {
    const { default: ag } = await import("../vendor/ag-grid.mjs");
    if (!this.box) return;
    this.props.desk.grid = this;
    this.api = ag.createGrid(this.box, this.#options(ag));
    this.api.setGridAriaProperty("label", this.props.label);
    this.timer = setInterval(() => this.#tick(), TICK_MS);
    for (const [event, layout] of PAPER) addEventListener(event, () => this.#lay(layout), { signal: this.gone.signal });
    this.#mark();
  }

  componentWillUnmount() {
    clearInterval(this.timer);
    this.gone.abort();
    this.api?.destroy();
    this.box = null;
    if (this.props.desk.grid === this) this.props.desk.grid = null;
  }

  componentDidUpdate({ rows, words, chosen }) {
    const { props, api } = this;
    if (!api) return;
    if (props.rows !== rows) api.setGridOption("rowData", props.rows);
    if (props.words !== words) api.setGridOption("quickFilterText", props.words);
    if (props.chosen !== chosen || props.rows !== rows) this.#mark();
  }

  #options(ag) {
    const { columns, rows, words, empty, desk } = this.props;
    return {
      theme: theme(ag),
      rowData: rows,
      quickFilterText: words,
      columnDefs: columns.map((column) => definition(column, desk)),
      defaultColDef: { sortable: true, resizable: true, suppressHeaderMenuButton: true, minWidth: 60 },
      getRowId: ({ data }) => data.id,
      rowClassRules: { waiting: ({ data }) => data.waiting, over: ({ data }) => data.over },
      rowSelection: { mode: "singleRow", checkboxes: false, enableClickSelection: true },
      rowHeight: ROW_PX,
      headerHeight: HEAD_PX,
      enableCellTextSelection: true,
      animateRows: false,
      overlayNoRowsTemplate: `<p class="empty">${empty}</p>`,
      onModelUpdated: ({ api }) => this.setState({ shown: api.getDisplayedRowCount() }),
      initialState: kept(this.#key()),
      onRowSelected: ({ node, source }) => node.isSelected() && source !== "api" && this.props.choose(node.data.id),
      onCellKeyDown: ({ event, node }) => (event.key === "Enter" || event.key === " ") && this.props.choose(node.data.id),
      onStateUpdated: ({ state, sources }) => !sources.includes("gridInitializing") && keep(this.#key(), state),
      getLocaleText: ({ key, defaultValue }) => (has(`grid.${key}`) ? t(`grid.${key}`) : defaultValue),
    };
  }

  /** On paper all rows stand, not only those in sight; more than a stack of paper stay as they are. */
  #lay(layout) {
    if (this.props.rows.length <= MOST_ON_PAPER) this.api.setGridOption("domLayout", layout);
  }

  #key() {
    const { name, desk } = this.props;
    return `cityops.grid.${desk.setup.user}.${name}`;
  }

  #tick() {
    const columns = this.props.columns.filter(({ kind }) => MOVING.has(kind)).map(({ key }) => key);
    if (columns.length && !document.hidden) this.api.refreshCells({ columns, force: true });
  }

  /** The chosen row is the selected one, and comes into sight once. */
  #mark() {
    const { chosen } = this.props;
    const node = chosen ? this.api.getRowNode(chosen) : null;
    if (!node) return this.api.deselectAll();
    node.setSelected(true, true, "api");
    if (this.seen !== chosen) this.api.ensureNodeVisible(node);
    this.seen = chosen;
  }

  /** The id of the row `by` steps from another, as the table is sorted and filtered now. */
  beside(id, by) {
    const count = this.api?.getDisplayedRowCount() ?? 0;
    if (!count) return null;
    const at = this.api.getRowNode(id ?? "")?.rowIndex ?? (by > 0 ? -1 : count);
    return this.api.getDisplayedRowAtIndex(Math.max(0, Math.min(count - 1, at + by))).data.id;
  }

  /** What the table shows, as CSV with a mark for Excel; times are RFC 3339. */
  save() {
    const { name, columns } = this.props;
    const kinds = new Map(columns.map(({ key, kind }) => [key, kind]));
    const pictures = new Set(columns.filter(({ draw }) => draw).map(({ key }) => key));
    this.api?.exportDataAsCsv({
      columnKeys: this.api.getAllDisplayedColumns().filter((column) => !pictures.has(column.getColId())),
      fileName: `cityops-${name}-${iso(Date.now()).slice(0, 16).replaceAll(":", "")}.csv`,
      processCellCallback: ({ value, column }) => {
        if (TIMES.has(kinds.get(column.getColId()))) return iso(value);
        return typeof value === "string" && FORMULA.test(value) ? `'${value}` : value;
      },
    });
  }

  render({ rows, label, tools }, { shown }) {
    return html`<div class="table">
      <p class="bar"><b class="n">${shown === rows.length ? number(shown) : `${number(shown)} / ${number(rows.length)}`}</b> ${label}<span class="grow"></span>${tools}<button onClick=${() => this.save()}>${t("console.csv")}</button></p>
      <div class="grid" ref=${(box) => (this.box = box ?? this.box)}></div>
    </div>`;
  }
}

/** Rows made of items: a row stays the same object, and all of them the same array, while nothing in them changed. */
export class Rows {
  rows = [];
  known = new Map();

  of(items, make) {
    let changed = items.length !== this.rows.length;
    const known = new Map();
    const rows = items.map((item, i) => {
      const row = make(item);
      const before = this.known.get(row.id);
      const same = before && Object.keys(row).every((key) => row[key] === before[key]) ? before : row;
      known.set(row.id, same);
      changed ||= same !== this.rows[i];
      return same;
    });
    if (changed) Object.assign(this, { rows, known });
    return this.rows;
  }
}

function definition({ key, words, kind = "text", wide, draw, ...more }, desk) {
  return {
    field: key,
    headerName: words,
    headerTooltip: words,
    ...(wide < 20 ? { flex: wide } : { width: wide }),
    ...KINDS[kind](desk),
    ...(draw && { cellRenderer: ({ data }) => drawn(draw(data)) }),
    ...more,
  };
}

/** The grid's own theme in the variables of dashboard/theme.yaml, so that it follows them, on paper too. */
function theme(ag) {
  return ag.themeQuartz.withParams({
    backgroundColor: "var(--surface)",
    foregroundColor: "var(--t2)",
    textColor: "var(--t2)",
    headerBackgroundColor: "var(--surface)",
    headerTextColor: "var(--t3)",
    borderColor: "var(--line)",
    rowHoverColor: "var(--raised)",
    selectedRowBackgroundColor: "var(--raised)",
    oddRowBackgroundColor: "var(--surface)",
    accentColor: "var(--accent)",
    chromeBackgroundColor: "var(--raised)",
    menuBackgroundColor: "var(--raised)",
    inputBackgroundColor: "var(--bg)",
    browserColorScheme: "inherit",
    fontFamily: "inherit",
    fontSize: 14,
    headerFontWeight: 600,
    spacing: 6,
    wrapperBorder: false,
    wrapperBorderRadius: 0,
    borderRadius: 4,
  });
}

function kept(key) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? {};
  } catch {
    return {}; // what somebody else wrote there is nothing of ours
  }
}

function keep(key, state) {
  localStorage.setItem(key, JSON.stringify(Object.fromEntries(KEPT.filter((part) => state[part]).map((part) => [part, state[part]]))));
}
