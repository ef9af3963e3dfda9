// Asking and acting over HTTP. A refusal is an error that carries what the centre said and what is allowed instead.

import { language } from "./text.mjs";

export class Refused extends Error {
  constructor(status, problem) {
    super(problem.title ?? String(status));
    this.status = status;
    this.problem = problem;
  }
}

async function taken(answer) {
  if (answer.status === 401) location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, body);
  return body;
}

const address = (path) => `/api/v1${path}${path.includes("?") ? "&" : "?"}lang=${language}`;

export async function get(path) {
  return taken(await fetch(address(path), { signal: AbortSignal.timeout(20000) }));
}

/** Send once: a resend with the same key changes nothing, so a click is never done twice. */
export async function send(method, path, body, key = newKey(), patienceMs = 20000) {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
  return taken(await fetch(address(path), { method, headers, body: JSON.stringify(body), signal: AbortSignal.timeout(patienceMs) }));
}

/** Not `randomUUID`: that one is missing over plain HTTP. */
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export const path = (...parts) => `/${parts.map(encodeURIComponent).join("/")}`;

/** All pages of a list, up to `most` items. */
export async function all(list, most = 5000) {
  const found = [];
  let cursor = null;
  do {
    const page = await get(`${list}${list.includes("?") ? "&" : "?"}limit=1000${cursor ? `&cursor=${cursor}` : ""}`);
    found.push(...page.items);
    cursor = page.next;
  } while (cursor && found.length < most);
  return found;
}
