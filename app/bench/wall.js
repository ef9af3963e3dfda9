// What the benchmark does inside the wall's page.

window.bench = {
  drawn: new Map(),

  /** Note when the value of each reading was drawn: two frames after its frame of points came. */
  watch() {
    const note = (value) => this.drawn.has(value) || this.drawn.set(value, Date.now());
    window.cityopsWall.live.onPoints(({ n, value }) => {
      const values = [...value.slice(0, n)];
      requestAnimationFrame(() => requestAnimationFrame(() => values.forEach(note)));
    });
  },

  /** Frames a second and the longest frame within a span, ms. */
  frames(ms) {
    return new Promise((done) => {
      let [frames, longest, last] = [0, 0, performance.now()];
      const end = last + ms;
      const tick = (now) => {
        frames += 1;
        longest = Math.max(longest, now - last);
        last = now;
        if (now < end) requestAnimationFrame(tick);
        else done({ fps: (frames * 1000) / ms, longest });
      };
      requestAnimationFrame(tick);
    });
  },

  /** 50 000 points on the map, 500 of them coloured anew by feature state: ms until drawn, five times. */
  async recolour() {
    const { map } = window.cityopsWall.map;
    const box = map.getBounds();
    const [wide, high] = [box.getEast() - box.getWest(), box.getNorth() - box.getSouth()];
    const at = (n) => [box.getWest() + (wide * (n % 250)) / 250, box.getSouth() + (high * Math.floor(n / 250)) / 200];
    const point = (n) => ({ type: "Feature", id: n + 1, properties: {}, geometry: { type: "Point", coordinates: at(n) } });
    map.getSource("sensors").setData({ type: "FeatureCollection", features: Array.from({ length: 50000 }, (_, n) => point(n)) });
    await new Promise((ready) => map.once("idle", ready));
    const spans = [];
    for (let turn = 0; turn < 5; turn += 1) {
      const begun = performance.now();
      for (let n = 1; n <= 500; n += 1) map.setFeatureState({ source: "sensors", id: n * 97 + turn }, { l: 1 + (turn % 4) });
      await new Promise((drawn) => map.once("render", drawn));
      spans.push(performance.now() - begun);
    }
    return spans;
  },
};
