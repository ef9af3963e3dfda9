// Words: the same flat keys as in Python, `{name}` where a value goes. A missing key shows itself: ⟦key⟧.

let words = {};
export let language = "zh";

/** Load the words of a language: that of the page, unless the address asks for another. */
export async function load(wanted) {
  language = wanted === "en" ? "en" : "zh";
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  const answer = await fetch(`/api/v1/texts/${language}`);
  if (!answer.ok) throw new Error(`texts: ${answer.status}`);
  words = await answer.json();
}

export function t(key, values) {
  const pattern = words[key];
  if (pattern === undefined) return `⟦${key}⟧`;
  return values ? pattern.replace(/\{(\w+)\}/g, (all, name) => (name in values ? shown(values[name], name) : all)) : pattern;
}

export const has = (key) => key in words;

/** Parameters whose values are themselves keys of a family of texts, as in dispatch/words.py. */
const FAMILIES = { skills: "skill", equipment: "equipment", department: "department", why: "dispatch.triage", role: "role" };

/** A value inside a sentence: a list, a name in two languages, a text key with its own values, or as it stands. */
function shown(value, param) {
  if (Array.isArray(value)) return value.map((part) => shown(part, param)).join(language === "en" ? ", " : "、");
  if (value && typeof value === "object") return "key" in value ? told(value) : name(value);
  const key = `${FAMILIES[param]}.${value}`;
  return key in words ? words[key] : String(value ?? "");
}

/** {key, params} → words. */
export const told = (text) => (text ? (typeof text === "string" ? text : "key" in text ? t(text.key, text.params) : name(text)) : "");

/** {zh, en} → the one that is read, or the other where it is missing. */
export const name = (names) => (typeof names === "string" ? names : names?.[language] || names?.zh || names?.en || "");

/** The language asked for: `?lang=`, the cookie of the switch, else that of the page. */
export function asked() {
  const query = new URLSearchParams(location.search).get("lang");
  const cookie = document.cookie.match(/(?:^|; )lang=(zh|en)/)?.[1];
  return query || cookie || document.documentElement.lang.slice(0, 2);
}

/** The name of something that is declared: a kind, a channel, a rule; its id where it has none. */
export const titled = (noun, id) => (has(`${noun}.${id}.name`) ? words[`${noun}.${id}.name`] : id);

/** [last part of the key, its words] of every text of a family: `department` → [["water_company", "供水企业"], …]. */
export const family = (prefix) =>
  Object.keys(words)
    .filter((key) => key.startsWith(`${prefix}.`) && !key.slice(prefix.length + 1).includes("."))
    .map((key) => [key.slice(prefix.length + 1), words[key]]);
