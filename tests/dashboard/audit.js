// What is wrong with the type of a page of the wall: text that does not fit its box, boxes that stick out of their
// zone, text below the floor of 2 rem. A Chinese face is taller than a line by a quarter of its size: that is no overflow.
() => {
  const floor = 2 * parseFloat(getComputedStyle(document.documentElement).fontSize) - 0.01;
  const speaks = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  const told = (e) => `${e.tagName}.${e.className} "${e.textContent.slice(0, 40)}"`;
  const all = [...document.querySelectorAll("#wall *")].filter((e) => !e.closest("svg"));
  const overflowing = all.filter((e) => {
    const style = getComputedStyle(e);
    if (!speaks(e) || style.display === "inline" || style.textOverflow === "ellipsis" || style.webkitLineClamp !== "none") return false;
    return e.scrollWidth > e.clientWidth + 2 || e.scrollHeight > e.clientHeight + 2 + 0.26 * parseFloat(style.fontSize);
  });
  const parts = ".vital, .incident, .case, .case li, .kpi, .counter, .resource, .foot > *, .card, .legend > *, .posture > *";
  const outside = [...document.querySelectorAll("#wall [data-zone]")].flatMap((zone) => {
    const box = zone.getBoundingClientRect();
    return [...zone.querySelectorAll(parts)].filter((e) => {
      const b = e.getBoundingClientRect();
      return b.width && (b.bottom > box.bottom + 1 || b.right > box.right + 1 || b.top < box.top - 1 || b.left < box.left - 1);
    });
  });
  const small = all.filter((e) => speaks(e) && parseFloat(getComputedStyle(e).fontSize) < floor);
  return { overflowing: overflowing.map(told), outside: outside.map(told), small: small.map(told) };
}
