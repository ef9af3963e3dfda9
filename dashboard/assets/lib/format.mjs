// Numbers, times and spans as people read them. Times come as RFC 3339 UTC and are shown in the city's zone.

import { language, t } from "./text.mjs";

export const ZONE = { name: "Asia/Shanghai" };
const NONE = "—";

/** A value with thousands commas and a real minus; no more than four significant digits. */
export function number(value, digits = 0) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  const whole = Math.abs(value) >= 1 ? Math.floor(Math.log10(Math.abs(value))) + 1 : 1;
  const places = Math.max(0, Math.min(digits, 4 - whole));
  const text = Math.abs(value).toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
  return value < 0 && /[1-9]/.test(text) ? `−${text}` : text;
}

/** A measured value whose digits nobody declared: at most four significant ones, no zeros at the end. */
export const measured = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(4))).replace("-", "−") : NONE);

const parts = new Map();
function inZone(ms, options) {
  const key = JSON.stringify([options, ZONE.name, language]);
  if (!parts.has(key)) {
    parts.set(key, new Intl.DateTimeFormat(language === "zh" ? "zh-CN" : "en-GB", { timeZone: ZONE.name, hourCycle: "h23", ...options }));
  }
  return parts.get(key).format(ms);
}

export const clock = (ms) => inZone(ms, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
export const hourMinute = (ms) => inZone(ms, { hour: "2-digit", minute: "2-digit" });
export const weekday = (ms) => inZone(ms, { weekday: "short" });
/** ISO date in the city's zone. */
export const date = (ms) => new Intl.DateTimeFormat("en-CA", { timeZone: ZONE.name, dateStyle: "short" }).format(ms);
/** ms of a time "2026-11-22T10:05:00" as the city's clocks show it; NaN for what is none. */
export function zoned(text) {
  const guess = Date.parse(`${text}Z`);
  const ahead = (ms) => Date.parse(`${date(ms)}T${clock(ms)}Z`) - Math.floor(ms / 1000) * 1000;
  return Number.isNaN(guess) ? NaN : guess - ahead(guess - ahead(guess));
}
export const hourOf = (ms) => Number(new Intl.DateTimeFormat("en-GB", { timeZone: ZONE.name, hour: "2-digit", hourCycle: "h23" }).format(ms));

/** mm:ss, h:mm:ss after an hour, days after two. */
export function elapsed(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s >= 172800) return t("wall.days", { n: Math.floor(s / 86400) });
  const two = (n) => String(n).padStart(2, "0");
  const h = Math.floor(s / 3600);
  return h ? `${h}:${two(Math.floor((s % 3600) / 60))}:${two(s % 60)}` : `${two(Math.floor(s / 60))}:${two(s % 60)}`;
}

/** m:ss or h:mm of a span, short: for stages. */
export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  const two = (n) => String(n).padStart(2, "0");
  if (s >= 86400) return t("wall.days", { n: Math.floor(s / 86400) });
  if (s >= 3600) return `${Math.floor(s / 3600)}h${two(Math.floor((s % 3600) / 60))}`;
  return `${Math.floor(s / 60)}:${two(s % 60)}`;
}

/** "6 分", "2 小时": an age in words. */
export function age(seconds) {
  if (seconds < 90) return t("age.seconds", { n: Math.max(0, Math.round(seconds)) });
  if (seconds < 5400) return t("age.minutes", { n: Math.round(seconds / 60) });
  if (seconds < 129600) return t("age.hours", { n: Math.round(seconds / 3600) });
  return t("age.days", { n: Math.round(seconds / 86400) });
}

/** Relative under an hour, clock time after, the date after a day. */
export function since(ms, nowMs) {
  const s = (nowMs - ms) / 1000;
  if (s < 3600) return t("age.ago", { age: age(s) });
  return s < 86400 ? hourMinute(ms) : `${date(ms)} ${hourMinute(ms)}`;
}
