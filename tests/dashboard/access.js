// What WCAG 2.2 AA asks of a page, as far as a program can tell: names (4.1.2), contrast (1.4.3), target size (2.5.8),
// labels (3.3.2), language (3.1.1), one heading of the page (2.4.6), no positive tabindex (2.4.3), ids that are one
// (4.1.1 of old: references need them), text level never by colour alone is for the tests of shapes.
() => {
  const wrong = [];
  const said = (what, e) => wrong.push(`${what}: <${e.tagName.toLowerCase()} class="${e.getAttribute("class") ?? ""}"> ${(e.textContent ?? "").trim().slice(0, 40)}`);
  const seen = (e) => {
    const box = e.getBoundingClientRect();
    const style = getComputedStyle(e);
    return box.width > 0 && box.height > 0 && style.visibility !== "hidden" && style.display !== "none" && !e.closest("[aria-hidden=true], [hidden]");
  };
  const byId = (ids) => (ids ?? "").split(/\s+/).map((id) => document.getElementById(id)?.textContent ?? "").join(" ");
  const name = (e) =>
    [e.getAttribute("aria-label"), byId(e.getAttribute("aria-labelledby")), e.labels ? [...e.labels].map((l) => l.textContent).join(" ") : "", e.matches("input, select, textarea") ? "" : e.textContent, e.title, e.getAttribute("alt"), e.querySelector?.("[aria-label]")?.getAttribute("aria-label")]
      .find((text) => text?.trim()) ?? "";

  const controls = [...document.querySelectorAll("a[href], button, input, select, textarea, [role=button], [role=listbox], [role=combobox], [role=option], [tabindex]")].filter(seen);
  for (const e of controls) {
    if (e.matches("[tabindex='-1']") || e.matches("input[type=hidden]")) continue;
    if (!name(e) && !e.matches("[role=option]")) said("no name", e);
    if (Number(e.getAttribute("tabindex")) > 0) said("positive tabindex", e);
    const box = e.getBoundingClientRect();
    const inSentence = getComputedStyle(e).display === "inline" && e.parentElement?.textContent.trim() !== e.textContent.trim();
    const labelled = e.matches("input[type=checkbox], input[type=radio]") && e.closest("label")?.getBoundingClientRect().height >= 24;
    if ((box.width < 24 || box.height < 23.5) && !inSentence && !labelled && !e.closest(".maplibregl-map")) said(`target ${Math.round(box.width)}×${Math.round(box.height)}`, e);
  }
  for (const e of document.querySelectorAll("svg[role=img], img, canvas[role=img]")) if (seen(e) && !name(e)) said("picture without a name", e);

  const rgba = (text) => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const over = ([r, g, b, a], [x, y, z]) => [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a), 1];
  const ground = (e) => {
    const layers = [];
    for (let at = e; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (style.backgroundImage !== "none") return null;
      layers.push(rgba(style.backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), rgba(getComputedStyle(document.documentElement).backgroundColor));
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const faded = (e) => {
    let opacity = 1;
    for (let at = e; at; at = at.parentElement) opacity *= Number(getComputedStyle(at).opacity);
    return opacity;
  };
  for (const e of document.querySelectorAll("body *")) {
    if (e.closest("svg, .maplibregl-map, option, [disabled]") || ![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) || !seen(e)) continue;
    const below = ground(e);
    if (!below) continue;
    const style = getComputedStyle(e);
    const ink = rgba(style.color);
    const [one, other] = [light(over([ink[0], ink[1], ink[2], ink[3] * faded(e)], below)), light(below)].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5) - 0.01) said(`contrast ${ratio.toFixed(2)}`, e);
    if (parseFloat(style.fontSize) < 12) said(`type ${style.fontSize}`, e);
  }

  if (!/^(zh-CN|en)$/.test(document.documentElement.lang)) wrong.push(`lang ${document.documentElement.lang}`);
  if (document.querySelectorAll("h1").length !== 1) wrong.push(`${document.querySelectorAll("h1").length} h1`);
  if (!document.title.trim()) wrong.push("no title");
  if (!document.querySelector("main, [role=main]")) wrong.push("no main");
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) wrong.push(`id twice: ${id}`);
  const moving = document.getAnimations().filter((each) => each.playState === "running" && each.effect?.getComputedTiming().iterations === Infinity);
  if (matchMedia("(prefers-reduced-motion: reduce)").matches && moving.length) wrong.push(`${moving.length} endless animations although motion is unwanted`);
  return [...new Set(wrong)];
}
