// The live path: snapshot, then deltas with seq; a gap asks for a snapshot; reconnects from 1 to 30 s with jitter.

const SILENCE_MS = 5000;
const FIRST_MS = 1000;
const LAST_MS = 30000;

export class Live {
  /** `topics` to follow; `changed(topic)` after each message, `state(connected)` when that changes. */
  constructor(topics, { changed = () => {}, state = () => {}, url = "/api/v1/stream" } = {}) {
    this.topics = topics;
    this.changed = changed;
    this.state = state;
    this.url = url;
    this.items = Object.fromEntries(topics.map((topic) => [topic, new Map()]));
    this.seq = {};
    this.points = new Map();
    this.loaded = new Set();
    this.connected = false;
    this.tries = 0;
    this.gaps = 0;
    this.offsetMs = 0;
    this.heardMs = Date.now();
    this.lostMs = null;
    this.pointListeners = [];
    this.unheard = [];
  }

  start() {
    this.#connect();
    this.watching = setInterval(() => this.#watch(), 500);
    addEventListener("online", () => this.#hurry());
    document.addEventListener("visibilitychange", () => !document.hidden && this.#hurry());
    return this;
  }

  /** For good. */
  stop() {
    clearInterval(this.watching);
    clearTimeout(this.timer);
    if (this.socket) this.socket.onclose = this.socket.onmessage = null;
    this.socket?.close();
    this.socket = null;
    this.timer = null;
  }

  /** Now by the centre's clock, which goes on when we are cut off. */
  now() {
    return Date.now() + this.offsetMs;
  }

  list(topic) {
    return [...this.items[topic].values()];
  }

  /** Called with (columns, kind) for each frame of points, the first listener also for those that came before it. */
  onPoints(listener) {
    this.pointListeners.push(listener);
    for (const frame of this.unheard.splice(0)) listener(...frame);
  }

  #connect() {
    const address = new URL(this.url, location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => socket.send(JSON.stringify({ subscribe: this.topics }));
    socket.onmessage = ({ data }) => this.#take(data);
    socket.onclose = ({ code }) => this.#again(code);
  }

  #again(code) {
    this.socket = null;
    if (code === 4401 || code === 4403) return this.state(false, code);
    this.tries += 1;
    const wait = Math.min(LAST_MS, FIRST_MS * 2 ** Math.min(this.tries - 1, 5)) * (0.5 + Math.random() / 2);
    this.timer = setTimeout(() => this.#connect(), wait);
  }

  #hurry() {
    if (this.socket || !this.timer) return;
    clearTimeout(this.timer);
    this.#connect();
  }

  #watch() {
    const silent = Date.now() - this.heardMs > SILENCE_MS;
    if (silent && this.connected) {
      this.connected = false;
      this.lostMs = this.heardMs + this.offsetMs;
      this.socket?.close();
      this.state(false);
    }
  }

  #take(data) {
    this.heardMs = Date.now();
    const topic = typeof data === "string" ? this.#takeText(JSON.parse(data)) : this.#takePoints(data);
    if (!topic) return;
    if (!this.connected && this.topics.every((each) => this.loaded.has(each))) {
      this.connected = true;
      this.tries = 0;
      this.lostMs = null;
      this.state(true);
    }
    this.changed(topic);
  }

  #takeText(message) {
    const { topic, type, seq } = message;
    const items = this.items[topic];
    if (type === "snapshot") items.clear();
    else if (!this.#follows(topic, seq)) return null;
    for (const item of message.items) items.set(item.id, Object.assign(items.get(item.id) ?? {}, item));
    for (const id of message.gone ?? []) items.delete(id);
    this.#settle(topic, seq);
    if (topic === "status") {
      const at = Date.parse(items.get("now")?.at);
      if (at) this.offsetMs = at - Date.now();
    }
    return topic;
  }

  #takePoints(buffer) {
    const head = new DataView(buffer);
    const kind = head.getUint8(3);
    const seq = head.getUint32(4, true);
    const n = head.getUint32(16, true);
    if (kind === 1 && !this.#follows("points", seq)) return null;
    let at = 24;
    const column = (Type) => {
      const values = new Type(buffer, at, n);
      at += n * Type.BYTES_PER_ELEMENT;
      return values;
    };
    const columns = {
      n, time: column(Float64Array), value: column(Float64Array), device: column(Uint32Array),
      channel: column(Uint16Array), quality: column(Uint16Array), level: column(Uint8Array),
    };
    this.#settle("points", seq);
    if (!this.pointListeners.length) this.unheard.push([columns, kind]);
    for (const listener of this.pointListeners) listener(columns, kind);
    return "points";
  }

  #follows(topic, seq) {
    if (seq === this.seq[topic] + 1) return true;
    if (seq > this.seq[topic]) {
      this.gaps += 1;
      this.socket?.send(JSON.stringify({ snapshot: [topic] }));
    }
    return false;
  }

  #settle(topic, seq) {
    this.seq[topic] = seq;
    this.loaded.add(topic);
  }
}
