// The page of gateway vendors: how to speak to us, good frames, what a gateway's own frames became, and its report.
// It is open to everybody; what it shows of a gateway is asked with that gateway's secret, or with a person's sign-in.

import { Refused } from "../lib/api.mjs";
import { html, render } from "../lib/dom.mjs";
import { clock } from "../lib/format.mjs";
import { asked, language, load, t } from "../lib/text.mjs";

const LOOK_MS = 1000;
const KEPT = 200;
const DOORS = ["mqtt", "http", "tcp"];

const bytesOf = (text) => String.fromCharCode(...new TextEncoder().encode(text));

export class Vendors {
  constructor(root) {
    this.root = root;
    this.place = { ports: {}, examples: [] };
    this.gateway = new URLSearchParams(location.search).get("gateway") ?? "";
    this.secret = "";
    this.own = null; // examples and names of the gateway that is signed in
    this.frames = [];
    this.watched = false;
    this.report = null;
    this.pasted = { format: "senml", topic: "", hex: false, body: "" };
    this.verdict = null;
    this.said = "";
  }

  async start() {
    this.place = await this.ask("/vendors");
    this.draw();
    setInterval(() => this.look(), LOOK_MS);
    return this;
  }

  get examples() {
    return this.own?.examples ?? this.place.examples;
  }

  // -- asking ------------------------------------------------------------------------------------------------

  async ask(path, options = {}, read = (answer) => answer.json()) {
    const headers = { ...options.headers };
    if (this.secret) headers.Authorization = `Basic ${btoa(bytesOf(`${this.gateway}:${this.secret}`))}`;
    const address = `/api/v1${path}${path.includes("?") ? "&" : "?"}lang=${language}`;
    const answer = await fetch(address, { ...options, headers, signal: AbortSignal.timeout(20000) });
    if (!answer.ok) throw new Refused(answer.status, await answer.json().catch(() => ({})));
    return read(answer);
  }

  /** Do something for a person: what goes wrong is said on the page. */
  async attempt(work) {
    try {
      this.said = "";
      await work();
    } catch (wrong) {
      this.said = wrong instanceof Refused ? (wrong.status === 401 || wrong.status === 403 ? t("vendors.not_yours") : wrong.message) : t("vendors.away");
    }
    this.draw();
  }

  path = (rest) => `/gateways/${encodeURIComponent(this.gateway)}/${rest}`;

  enter = (event) => {
    event.preventDefault();
    this.gateway = event.target.gateway.value.trim();
    this.secret = event.target.secret.value;
    this.frames = [];
    this.report = null;
    this.own = null;
    return this.attempt(async () => {
      this.own = await this.ask(this.path("examples"));
      await this.refresh();
    });
  };

  watch = () =>
    this.attempt(async () => {
      await this.ask(this.path("watch"), { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" });
      this.frames = [];
      await this.refresh();
    });

  async look() {
    if (!this.own || this.looking) return;
    this.looking = true;
    await this.refresh().catch(() => {});
    this.looking = false;
    this.draw();
  }

  async refresh() {
    const found = await this.ask(this.path(`frames?after=${this.frames[0]?.id ?? 0}`));
    this.watched = found.watched;
    this.frames = [...found.items.reverse(), ...this.frames].slice(0, KEPT);
    this.report = found.since ? await this.ask(this.path("report")) : null;
  }

  download = (form) =>
    this.attempt(async () => {
      const blob = await this.ask(this.path(`report?format=${form}`), {}, (answer) => answer.blob());
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = `conformance-${this.gateway}.${form}`;
      link.click();
      URL.revokeObjectURL(link.href);
    });

  check = (event) => {
    event.preventDefault();
    return this.attempt(async () => {
      const { format, topic, hex, body } = this.pasted;
      this.verdict = null;
      this.verdict = await this.ask(this.path(`check?${new URLSearchParams({ format, topic, hex: String(hex) })}`), { method: "POST", body });
    });
  };

  take(example) {
    this.pasted = { format: example.format, topic: example.place, hex: example.hex, body: example.body };
    this.verdict = null;
    this.draw();
    document.getElementById("paste").scrollIntoView({ block: "start" });
  }

  // -- drawing -----------------------------------------------------------------------------------------------

  draw() {
    render(
      html`<header>
          <h1>${t("page.vendors")}</h1>
          <a href=${`?lang=${language === "zh" ? "en" : "zh"}`}>${t("vendors.other_language")}</a>
        </header>
        <p>${t("vendors.intro")}</p>
        ${this.#doors()} ${this.#signIn()} ${this.#live()} ${this.#paste()} ${this.#report()} ${this.#examples()} ${this.#names()}`,
      this.root,
    );
  }

  #doors() {
    const { ports } = this.place;
    const row = (name, where, rule) => html`<tr><th>${name}</th><td><code>${where}</code></td><td>${rule}</td></tr>`;
    const port = (name) => (ports[name] ? `:${ports[name]}` : t("vendors.closed"));
    return html`<section>
      <h2>${t("vendors.doors")}</h2>
      <table>
        ${row("MQTT 3.1.1 / 5.0", `${location.hostname}${port("mqtt")}${ports.mqtt_tls ? ` · TLS :${ports.mqtt_tls}` : ""}`, t("vendors.mqtt_rule"))}
        ${row("HTTP", `POST ${location.origin}/api/v1/telemetry`, t("vendors.http_rule"))}
        ${row("HJ 212", `TCP ${port("hj212")}`, t("vendors.hj212_rule"))}
        ${row("GB/T 26875.3", `TCP ${port("gbt26875")}`, t("vendors.gbt26875_rule"))}
        ${row("SL 651", `TCP ${port("sl651")}`, t("vendors.sl651_rule"))}
      </table>
      <h3>${t("vendors.credentials")}</h3>
      <p>${t("vendors.credentials_rule")}</p>
      <h3>${t("vendors.acknowledged")}</h3>
      <p>${t("vendors.acknowledged_rule")}</p>
    </section>`;
  }

  #signIn() {
    return html`<form class="sign-in" onSubmit=${this.enter}>
      <label>${t("vendors.gateway")}<input name="gateway" required maxlength="64" value=${this.gateway} autocomplete="username" /></label>
      <label>${t("vendors.secret")}<input name="secret" type="password" autocomplete="current-password" placeholder=${t("vendors.secret_or")} /></label>
      <button class="primary">${t("vendors.enter")}</button>
      ${this.own && html`<b class="passed">✓ ${t("vendors.signed_in", { gateway: this.own.gateway })}</b>`}
      ${this.said && html`<b class="failed" role="alert">✕ ${this.said}</b>`}
    </form>`;
  }

  #live() {
    return html`<section id="live">
      <h2>${t("vendors.live")}</h2>
      <p>${t("vendors.live_rule")}</p>
      <p>
        <button class="primary" disabled=${!this.own} onClick=${this.watch}>${t(this.watched ? "vendors.watch_again" : "vendors.watch")}</button>${" "}
        <span class=${this.watched ? "passed" : "note"}>${this.own ? t(this.watched ? "vendors.watching" : "vendors.not_watching") : t("vendors.sign_in_first")}</span>
      </p>
      ${this.watched && !this.frames.length && html`<p class="note">${t("vendors.nothing_yet")}</p>`}
      <ol class="frames">${this.frames.map((frame) => html`<li key=${frame.id}>${frameOf(frame)}</li>`)}</ol>
    </section>`;
  }

  #paste() {
    const set = (name, read = (target) => target.value) => (event) => {
      this.pasted[name] = read(event.target);
    };
    const formats = [...new Set(this.examples.map((each) => each.format))];
    const { format, topic, hex, body } = this.pasted;
    return html`<section id="paste">
      <h2>${t("vendors.paste")}</h2>
      <p>${t("vendors.paste_rule")}</p>
      <form onSubmit=${this.check}>
        <label>${t("vendors.format")}<select value=${format} onChange=${set("format")}>${formats.map((each) => html`<option>${each}</option>`)}</select></label>
        <label>${t("vendors.topic")}<input value=${topic} onInput=${set("topic")} maxlength="500" /></label>
        <label class="tick"><input type="checkbox" checked=${hex} onChange=${set("hex", (target) => target.checked)} />${t("vendors.hex")}</label>
        <textarea rows="6" spellcheck="false" aria-label=${t("vendors.paste")} value=${body} onInput=${set("body")}></textarea>
        <button class="primary" disabled=${!this.own}>${t("vendors.check")}</button>
        ${!this.own && html`<span class="note">${t("vendors.sign_in_first")}</span>`}
      </form>
      ${this.verdict && html`<div class="verdict">${outcome(this.verdict.accepted, this.verdict.refused)}</div> ${readings(this.verdict.readings)} ${refusals(this.verdict.refused)}`}
    </section>`;
  }

  #report() {
    if (!this.report) return null;
    return html`<section id="report">
      <h2>${t("conformance.title")}</h2>
      <table>
        ${this.report.checks.map(
          (each) => html`<tr><td class=${each.verdict}>${t(`conformance.${each.verdict}`)}</td><td>${t(`conformance.check.${each.check}`)}</td><td>${t(`conformance.found.${each.check}`, each)}</td></tr>`,
        )}
      </table>
      <p><button onClick=${() => this.download("html")}>${t("vendors.paper")}</button> <button onClick=${() => this.download("json")}>JSON</button></p>
    </section>`;
  }

  #examples() {
    const door = (name) => this.examples.filter((each) => each.door === name);
    return html`<section id="examples">
      <h2>${t("vendors.examples")}</h2>
      <p>${t(this.own ? "vendors.own_examples" : "vendors.sample_examples")}</p>
      ${DOORS.filter((name) => door(name).length).map((name) => html`<h3>${name.toUpperCase()}</h3> ${door(name).map((each) => this.#example(each))}`)}
    </section>`;
  }

  #example(example) {
    return html`<details>
      <summary><b>${example.format}</b> <code>${example.place}</code></summary>
      <pre>${example.body}</pre>
      <button onClick=${() => this.take(example)}>${t("vendors.try")}</button>
    </details>`;
  }

  #names() {
    if (!this.own?.points.length) return null;
    return html`<section>
      <h2>${t("vendors.names")}</h2>
      <details>
        <summary>${t("vendors.names_rule", { n: this.own.points.length })}</summary>
        <table>${this.own.points.map(({ device, channel, unit }) => html`<tr><td><code>${device}/${channel}</code></td><td>${unit}</td></tr>`)}</table>
      </details>
    </section>`;
  }
}

/** "3 accepted", "1 refused", with a mark that needs no colour. */
const outcome = (accepted, refused) => html`${accepted > 0 && html`<b class="passed">✓ ${t("vendors.accepted", { n: accepted })}</b> `}${refused.length > 0 && html`<b class="failed">✕ ${t("vendors.refused", { n: refused.length })}</b>`}${!accepted && !refused.length && html`<span class="note">${t("vendors.no_readings")}</span>`}`;

const frameOf = (frame) => html`<details>
  <summary><time>${clock(Date.parse(frame.at))}</time> <b>${frame.format}</b> ${outcome(frame.accepted, frame.refused)} <small>${frame.bytes} B ${frame.topic}</small>${frame.refused[0] && html`<em>${frame.refused[0].reason}: ${t(`refusal.${frame.refused[0].reason}`)}</em>`}</summary>
  ${readings(frame.readings)} ${refusals(frame.refused)}
  <pre>${frame.body}</pre>
</details>`;

const readings = (rows) =>
  rows.length > 0 &&
  html`<table>
    ${rows.map((each) => html`<tr><td><code>${each.device}/${each.channel}</code></td><td class="n">${each.value} ${each.unit}</td><td class="n">${each.time}</td><td>${each.quality.join(", ")}</td></tr>`)}
  </table>`;

const refusals = (rows) =>
  rows.length > 0 &&
  html`<table>
    ${rows.map((each) => html`<tr><td class="failed">${each.reason}</td><td>${t(`refusal.${each.reason}`)}</td><td><code>${each.detail}</code></td></tr>`)}
  </table>`;

await load(asked());
document.documentElement.dataset.theme = "light";
new Vendors(document.getElementById("vendors")).start();
